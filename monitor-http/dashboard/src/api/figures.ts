// The figures of the moment: a WebSocket that tells each second what came in, see `GET /live/ws` of docs/query-api.md.

import { filtersOf } from './queries/common.ts';
import type { Filters } from '../state/url.ts';

/** What came in within a second, and the web vitals of the last minute. */
export interface Figures {
  time: number;
  /** Events by kind, with their weights. */
  counts: Record<string, number>;
  vitals: Record<string, { count: number; p50: number | null }>;
}

const FIRST_WAIT = 2_000;
const LONGEST_WAIT = 60_000;

/**
 * Follows the figures until `signal` aborts; connects again with growing waits. Readers who show a token instead of a session have no way to
 * send it here: then there never are figures, and the page does without.
 */
export function followFigures(project: string, kinds: readonly string[], filters: Filters, onFigures: (figures: Figures) => void, signal: AbortSignal): void {
  const address = new URL('live/ws', document.baseURI);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  let wait = FIRST_WAIT;

  function connect(): void {
    const socket = new WebSocket(address);
    const close = () => socket.close();
    signal.addEventListener('abort', close, { once: true });
    socket.onopen = () => socket.send(JSON.stringify({ subscribe: { project, kinds, filters: filtersOf(filters), events: false } }));
    socket.onmessage = ({ data }) => {
      const message = parse(data);
      if (message?.type !== 'figures' || signal.aborted) return;
      wait = FIRST_WAIT;
      onFigures(message);
    };
    socket.onclose = () => {
      signal.removeEventListener('abort', close);
      if (signal.aborted) return;
      const timer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
      signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
      wait = Math.min(wait * 2, LONGEST_WAIT);
    };
  }
  connect();
}

function parse(data: unknown): (Figures & { type?: unknown }) | null {
  try {
    return JSON.parse(String(data)) as Figures & { type?: unknown };
  } catch {
    return null;
  }
}
