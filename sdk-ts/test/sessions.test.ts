import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {sessions, type SessionsOptions} from '../src/integrations/sessions.js';
import type {Client, MonitorEvent, Page, Processor, Scope} from '../src/types.js';
import {tearDown} from './scene.js';

const MINUTE = 60_000;
const START = 1_800_000_000_000;

beforeEach(() => void vi.useFakeTimers({now: START}));
afterEach(tearDown);

/** A tab: what the integration makes of an event that is captured so many ms from now. */
function tab(options?: SessionsOptions): (after?: number, kind?: string) => {session: NonNullable<Scope['session']>; event: MonitorEvent | string} {
  let processor: Processor = (event) => event;
  const client = {scope: {} as Scope, process: (next: Processor) => void (processor = next)};
  void sessions(options).setup(client as unknown as Client);
  return (after = 0, kind = 'track') => {
    vi.setSystemTime(Date.now() + after);
    const event = processor({id: 'x', time: 0, kind, name: 'x'}, {} as Page);
    return {session: client.scope.session!, event};
  };
}

test('a session lasts while events come within 30 minutes of each other', () => {
  const capture = tab();
  const {session: first} = capture();
  for (let i = 0; i < 5; i++) expect(capture(29 * MINUTE).session).toBe(first);
  const {session: next} = capture(31 * MINUTE);
  expect(next.id).not.toBe(first.id);
  expect(next.visitor).toBe(first.visitor);
});

test('tabs share the session', () => {
  const {session} = tab()();
  expect(tab()(MINUTE).session).toEqual(session);
});

test('a tab follows when another tab has begun a new session', () => {
  const sleeping = tab();
  const {session: old} = sleeping();
  const {session: fresh} = tab()(40 * MINUTE);
  expect(fresh.id).not.toBe(old.id);
  expect(sleeping(1000).session).toEqual(fresh);
});

test('events of a hidden tab do not keep the session alive', () => {
  const capture = tab();
  const {session: first} = capture();
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
  expect(capture(20 * MINUTE).session.id).toBe(first.id);
  expect(capture(20 * MINUTE).session.id).not.toBe(first.id);
});

test('without storage, visitor and session live as long as the page', () => {
  const forbidden = (): never => {
    throw new DOMException('denied', 'SecurityError');
  };
  vi.stubGlobal('localStorage', {getItem: forbidden, setItem: forbidden});
  const capture = tab();
  const {session: first} = capture();
  expect(capture(10 * MINUTE).session).toBe(first);
  const {session: next} = capture(60 * MINUTE);
  expect(next).toMatchObject({visitor: first.visitor});
  expect(next.id).not.toBe(first.id);
  vi.unstubAllGlobals();
});

test('with storage that takes nothing any more, the session lasts as long as ever', () => {
  const {session} = tab()();
  vi.stubGlobal('localStorage', {
    getItem: () => `${START - 20 * MINUTE} ${'a'.repeat(32)} ${'b'.repeat(32)}`,
    setItem() {
      throw new DOMException('full', 'QuotaExceededError');
    },
  });
  const capture = tab();
  const {session: first} = capture();
  expect(first.id).not.toBe(session.id);
  for (let i = 0; i < 5; i++) expect(capture(29 * MINUTE).session).toBe(first);
  vi.unstubAllGlobals();
});

test('a clock that stands still, or is set back, begins one session', () => {
  vi.spyOn(Date, 'now').mockReturnValue(0);
  const capture = tab();
  const {session} = capture();
  expect(session.id).toMatch(/^[0-9a-f]{32}$/);
  expect(capture().session).toBe(session);
});

test.each([
  '',
  'null',
  '5',
  `${START} <script>alert(1)</script> ${'b'.repeat(32)}`,
  `${START} ${'a'.repeat(32)} "><img src=x>${'b'.repeat(20)}`,
  `Infinity ${'a'.repeat(32)} ${'b'.repeat(32)}`,
  `${START} ${'a'.repeat(32)} ${'b'.repeat(3_200)}`,
  '{"__proto__":{"id":"polluted1"}}',
])('what somebody else stored is not believed: %s', (stored) => {
  localStorage.setItem('monitor-kit', stored);
  const {session} = tab()();
  expect(session.id).toMatch(/^[0-9a-f]{32}$/);
  expect(session.visitor).toMatch(/^[0-9a-f]{32}$/);
});

test('storage is written at most every five seconds', () => {
  const capture = tab();
  capture();
  const write = vi.spyOn(Storage.prototype, 'setItem');
  for (let i = 0; i < 100; i++) capture(40);
  expect(write.mock.calls.length).toBeLessThanOrEqual(1);
});

describe('sampling', () => {
  /** A session with an id that ends like this: its share of the largest number is what was drawn. */
  const store = (end: string): void => localStorage.setItem('monitor-kit', `${START} ${end.padStart(32, 'a')} ${'b'.repeat(32)}`);

  test('is drawn once per session, for all tabs and whatever their rate', () => {
    store('80000000');
    expect(tab({sampleRate: 0.51})().event).toMatchObject({name: 'x'});
    expect(tab({sampleRate: 0.5})().event).toBe('');
  });

  test('keeps its share of the sessions', () => {
    let kept = 0;
    for (let i = 0; i < 1_000; i++) {
      localStorage.clear();
      if (tab({sampleRate: 0.3})().event) kept++;
    }
    // Seven standard deviations either way.
    expect(kept).toBeGreaterThan(200);
    expect(kept).toBeLessThan(400);
  });

  test('each kind can have a rate of its own, and what is kept weighs as much as what is not', () => {
    store('33333333');
    const capture = tab({sampleRate: {error: 1, click: 0.25, '*': 0.1}});
    expect(capture(0, 'error').event).not.toHaveProperty('weight');
    expect(capture(0, 'click').event).toMatchObject({weight: 4});
    expect(capture(0, 'request').event).toBe('');
  });

  test('a rate of 0 keeps nothing; a rate that is no number keeps all', () => {
    expect(tab({sampleRate: 0})().event).toBe('');
    expect(tab({sampleRate: NaN})().event).toMatchObject({name: 'x'});
  });
});
