import { ApiError, request } from './client.ts';
import { SseParser } from './sse.ts';
import type { EventDocument, Filter } from './types.ts';

/** `waiting` connects again by itself, `refused` does not. */
export type LiveStatus = { state: 'connecting' } | { state: 'open' } | { state: 'waiting' | 'refused'; error: ApiError };

export interface LiveHandlers {
  onEvents(events: EventDocument[]): void;
  onDropped(count: number): void;
  onStatus(status: LiveStatus): void;
}

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
/** The service sends a comment every 15 s: three of them missing means that nobody is there any more. */
const SILENCE = 50_000;

/** Follows the live stream until `signal` aborts; connects again with growing, spread waits. */
export async function followLive(project: string, kinds: readonly string[], filters: readonly Filter[], handlers: LiveHandlers, signal: AbortSignal): Promise<void> {
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    handlers.onStatus({ state: 'connecting' });
    let failure = new ApiError(0, 'stream_ended');
    try {
      await readOnce(project, kinds, filters, { ...handlers, onStatus: (status) => { wait = FIRST_WAIT; handlers.onStatus(status); } }, signal);
    } catch (error) {
      if (signal.aborted) return;
      failure = error instanceof ApiError ? error : new ApiError(0, 'stream_broken', error instanceof Error ? error.message : String(error));
      // Asking the same again does not help.
      if ([400, 401, 404].includes(failure.status)) {
        handlers.onStatus({ state: 'refused', error: failure });
        return;
      }
    }
    if (signal.aborted) return;
    handlers.onStatus({ state: 'waiting', error: failure });
    await pause(wait * (0.5 + Math.random() / 2), signal);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function readOnce(project: string, kinds: readonly string[], filters: readonly Filter[], handlers: LiveHandlers, signal: AbortSignal): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE);
  const params = new URLSearchParams({ project });
  if (kinds.length > 0) params.set('kinds', kinds.join(','));
  if (filters.length > 0) params.set('filters', JSON.stringify(filters));
  const either = AbortSignal.any([signal, silence.signal]);
  try {
    const response = await request(`live?${params}`, { headers: { Accept: 'text/event-stream' }, signal: either });
    if (!response.body) throw new ApiError(0, 'stream_ended');
    handlers.onStatus({ state: 'open' });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      for (const message of parser.push(value)) {
        const data: unknown = JSON.parse(message.data);
        if (message.event === 'events' && Array.isArray(data)) handlers.onEvents(data as EventDocument[]);
        if (message.event === 'dropped') handlers.onDropped(Number((data as { count?: unknown } | null)?.count) || 0);
      }
    }
  } catch (error) {
    if (silence.signal.aborted && !signal.aborted) throw new ApiError(0, 'stream_silent');
    throw error;
  } finally {
    clearTimeout(timer);
    // Ends the request also when reading stopped for another reason than its end.
    silence.abort();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}
