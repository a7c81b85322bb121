import {id} from '../id.js';
import type {Integration, Scope} from '../types.js';

const KEY = 'monitor-kit';
/** Idle time that ends a session, ms: the convention of web analytics. */
const IDLE = 30 * 60_000;
/** How often the storage is read and written at most, ms. It is synchronous and shared with the page. */
const REFRESH = 5_000;

/** What `sessions` takes. */
export interface SessionsOptions {
  /**
   * Share of sessions to keep, 0 to 1, for all kinds of events or for each, with `*` for the others: `{error: 1, '*': 0.1}`; 1 when left out. Drawn
   * once per session; what is kept carries 1 / rate as its weight.
   */
  sampleRate?: number | Record<string, number> | undefined;
}

/** As it is stored: when somebody last looked at a page of the session, the session, the visitor. Anybody on this origin may write there. */
const STORED = /^(\d{13}) (\w{32}) (\w{32})$/;

/**
 * Tells visitors and sessions apart. Both are kept in `localStorage`, without cookies, so that all tabs of an origin share them; where
 * storage is missing, full or forbidden they live as long as the page.
 */
export function sessions({sampleRate = 1}: SessionsOptions = {}): Integration {
  let session: Scope['session'];
  let active: number;
  let refreshed: number;

  function refresh(now: number): void {
    refreshed = now;
    try {
      const [, time, id, visitor] = STORED.exec(localStorage.getItem(KEY)!)! as unknown as [string, string, string, string];
      if (+time > active) {
        active = +time;
        if (session?.id !== id) session = {id, visitor};
      }
    } catch {
      // Nothing stored yet, or not by us, or not to be read: what is in memory counts.
    }
    if (now - active >= IDLE) {
      session = {id: id(now), visitor: session?.visitor ?? id(now)};
      active = now;
    }
    // Timers and polling in a tab that nobody looks at do not keep a session alive.
    if (document.visibilityState !== 'hidden') active = now;
    try {
      localStorage.setItem(KEY, `${active} ${session!.id} ${session!.visitor}`);
    } catch {
      // Storage is forbidden or full.
    }
  }

  return {
    name: 'sessions',
    setup(client) {
      client.process((event) => {
        const now = Date.now();
        // The first event, or `optOut` took it away: then this is somebody new.
        if (!client.scope.session) {
          session = undefined;
          active = refreshed = -IDLE;
        }
        // A clock set back would otherwise freeze the session.
        if (Math.abs(now - refreshed) >= REFRESH) refresh(now);
        // Envelopes are told apart by their scope, which is why it is only replaced when something changed.
        if (client.scope.session !== session) client.scope = {...client.scope, session};
        const rates = sampleRate as Record<string, number>;
        const rate = (rates[event.kind] ?? rates['*'] ?? sampleRate) as number;
        // Drawn by the random end of the id, so that all tabs draw the same. Not counted as lost: the weight of what is kept stands for it.
        if (parseInt(session!.id.slice(-8), 16) / 2 ** 32 >= rate) return '';
        return rate < 1 ? {...event, weight: (event.weight ?? 1) / rate} : event;
      });
    },
  };
}
