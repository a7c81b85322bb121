import {id} from './id.js';
import type {Session} from './types.js';

const VISITOR_KEY = 'monitor-kit.visitor';
const SESSION_KEY = 'monitor-kit.session';
/** Idle time that ends a session, ms: the convention of web analytics. */
const IDLE = 30 * 60_000;
/** How often the storage is read and written at most, ms. It is synchronous and shared with the page. */
const REFRESH = 5_000;

/**
 * Keeps visitor and session in `localStorage`, so that all tabs of an origin share them. Where storage is missing, full or
 * forbidden, both live as long as the page. `current` returns the same object until the session changes.
 */
export function createSessions(): {current(now: number): Session} {
  let session: Session | undefined;
  let active = 0;
  let refreshed = -Infinity;

  return {
    current(now) {
      // A clock set back would otherwise freeze the session.
      if (session && now - refreshed < REFRESH && now >= refreshed) return session;
      refreshed = now;
      const stored = readSession();
      if (stored && now - stored.active < IDLE) {
        active = stored.active;
        if (session?.id !== stored.id) session = {id: stored.id, visitor: visitor(session, now), draw: stored.draw};
      } else if (!session || now - active >= IDLE) {
        session = {id: id(now), visitor: visitor(session, now), draw: Math.random()};
        active = now;
      }
      // Timers and polling in a tab that nobody looks at do not keep a session alive.
      if (document.visibilityState !== 'hidden' || !active) active = now;
      write(SESSION_KEY, JSON.stringify({id: session.id, draw: session.draw, active}));
      return session;
    },
  };
}

function visitor(previous: Session | undefined, now: number): string {
  const known = read(VISITOR_KEY) || previous?.visitor;
  if (known && /^[\w-]{8,64}$/.test(known)) return known;
  const created = id(now);
  write(VISITOR_KEY, created);
  return created;
}

/** What is stored may have been written by anybody on this origin, so it is checked like any input. */
function readSession(): {id: string; draw: number; active: number} | undefined {
  try {
    const {id, draw, active} = JSON.parse(read(SESSION_KEY) ?? '');
    if (/^[\w-]{8,64}$/.test(id) && draw >= 0 && draw < 1 && active > 0) return {id, draw, active};
  } catch {
    // Nothing stored yet, or not by us.
  }
  return undefined;
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is forbidden or full: the page goes on with what is in memory.
  }
}
