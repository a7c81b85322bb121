import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {createSessions} from '../src/session.js';

const MINUTE = 60_000;
let now = 0;

beforeEach(() => {
  now = 1_800_000_000_000;
  localStorage.clear();
});
afterEach(() => vi.restoreAllMocks());

test('a session lasts while events come within 30 minutes of each other', () => {
  const sessions = createSessions();
  const first = sessions.current(now);
  for (let i = 0; i < 5; i++) expect(sessions.current((now += 29 * MINUTE))).toBe(first);
  const next = sessions.current((now += 31 * MINUTE));
  expect(next.id).not.toBe(first.id);
  expect(next.visitor).toBe(first.visitor);
});

test('tabs share the session and its draw', () => {
  const first = createSessions().current(now);
  expect(createSessions().current(now + MINUTE)).toEqual(first);
});

test('a tab follows when another tab has begun a new session', () => {
  const sleeping = createSessions();
  const old = sleeping.current(now);
  now += 40 * MINUTE;
  const fresh = createSessions().current(now);
  expect(fresh.id).not.toBe(old.id);
  expect(sleeping.current(now + 1000)).toEqual(fresh);
});

test('events of a hidden tab do not keep the session alive', () => {
  const sessions = createSessions();
  const first = sessions.current(now);
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
  expect(sessions.current((now += 20 * MINUTE)).id).toBe(first.id);
  expect(sessions.current((now += 20 * MINUTE)).id).not.toBe(first.id);
});

test('without storage, visitor and session live as long as the page', () => {
  const forbidden = (): never => {
    throw new DOMException('denied', 'SecurityError');
  };
  vi.stubGlobal('localStorage', {getItem: forbidden, setItem: forbidden});
  const sessions = createSessions();
  const first = sessions.current(now);
  expect(sessions.current(now + 10 * MINUTE)).toBe(first);
  expect(sessions.current(now + 60 * MINUTE)).toMatchObject({visitor: first.visitor});
  expect(sessions.current(now + 60 * MINUTE).id).not.toBe(first.id);
  vi.unstubAllGlobals();
});

test.each(['', 'null', '5', '{"id":"<script>alert(1)</script>","draw":0.5,"active":1}', '{"id":"abcdefgh1","draw":7,"active":1}', '{"__proto__":{"id":"polluted1"}}'])(
  'what somebody else stored is not believed: %s',
  (stored) => {
    localStorage.setItem('monitor-kit.session', stored);
    localStorage.setItem('monitor-kit.visitor', '"><img src=x>');
    const session = createSessions().current(now);
    expect(session.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(session.visitor).toMatch(/^[0-9a-f-]{36}$/);
    expect(session.draw).toBeGreaterThanOrEqual(0);
    expect(session.draw).toBeLessThan(1);
  },
);

test('storage is written at most every five seconds', () => {
  const sessions = createSessions();
  sessions.current(now);
  const write = vi.spyOn(Storage.prototype, 'setItem');
  for (let i = 0; i < 100; i++) sessions.current((now += 40));
  expect(write.mock.calls.length).toBeLessThanOrEqual(1);
});
