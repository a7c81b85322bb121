import {vi, type Mock} from 'vitest';
import {setUser} from '../src/api.js';
import {createClient} from '../src/client.js';
import {current} from '../src/current.js';
import type {InitOptions} from '../src/init.js';
import {breadcrumbs} from '../src/integrations/breadcrumbs.js';
import {device} from '../src/integrations/device.js';
import {sessions} from '../src/integrations/sessions.js';
import type {Client, Integration, MonitorEvent} from '../src/types.js';

export interface SentEnvelope {
  attempt: number;
  sent_at: number;
  page: {id: string; url: string; route: string; referrer: string; title: string};
  session: {id: string; visitor: string; user?: {id?: string}};
  tags: Record<string, string>;
  discarded?: {reason: string; kind: string; count: number}[];
  events: (MonitorEvent & {seq: number; data?: any})[];
  [key: string]: any;
}

export interface Scene {
  client: Client;
  /** The native `fetch` of the page, which the SDK sends with. Answers 202 until told otherwise. */
  network: Mock<(url: string, init: RequestInit) => Promise<Response>>;
  /** Envelopes handed to `fetch`, in order. */
  envelopes(): SentEnvelope[];
  /** Events of all envelopes. */
  events(): SentEnvelope['events'];
  /** Sends what is queued now and lets answers arrive, without moving the clock far. */
  flush(): Promise<void>;
}

export const DSN = 'https://public@monitor.example/shop';

export const status = (code: number, headers: Record<string, string> = {}): Response =>
  new Response(code === 202 ? JSON.stringify({accepted: 1, rejected: []}) : '{}', {status: code, headers});

const started: Client[] = [];

/** A client in a fresh page with fake timers, with sessions, device and breadcrumbs beside the integrations named. */
export function scene({sampleRate, beforeBreadcrumb, user, ...options}: Partial<InitOptions> = {}, integrations: Integration[] = []): Scene {
  vi.useFakeTimers({now: Date.UTC(2026, 0, 1)});
  const network: Scene['network'] = vi.fn(async () => status(202));
  vi.stubGlobal('fetch', network);
  const client = createClient({
    dsn: DSN,
    ...options,
    integrations: [sessions({sampleRate}), device(), breadcrumbs({beforeBreadcrumb}), ...integrations],
  });
  current._client = client;
  if (user) setUser(user);
  started.push(client);
  const envelopes = (): SentEnvelope[] => network.mock.calls.map(([, init]) => JSON.parse(init.body as string));
  return {
    client,
    network,
    envelopes,
    events: () => envelopes().flatMap(({events}) => events),
    async flush() {
      void client.flush(0);
      await vi.advanceTimersByTimeAsync(1);
    },
  };
}

/** To be called after each test: nothing of a client may reach into the next one. */
export async function tearDown(): Promise<void> {
  for (const client of started.splice(0)) {
    void client.close(0);
    await vi.advanceTimersByTimeAsync(1);
  }
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  localStorage.clear();
  document.body.innerHTML = '';
  history.replaceState(null, '', '/');
}

export function hide(state: 'hidden' | 'visible' = 'hidden'): void {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(state);
  document.dispatchEvent(new Event('visibilitychange', {bubbles: true}));
}
