import { expect, test } from 'vitest';
import { isLoss, readingOf, totalOf, type Process } from '../src/api/queries/system.ts';

const lane = { age_ms: 0, dead_letters: 0, delivered: 0, retried: 0 };
const process: Process = {
  rates: { over_seconds: 60, per_second: { events_accepted: 12.5 } },
  spool: { bytes: 10, lanes: { clickhouse: { ...lane, events: 7 }, kafka: { ...lane, events: 9 } } },
  consumer_lag: {}, drops: [], live_viewers: 0,
  metrics: [{ name: 'events_delivered', label: 'clickhouse', value: 3 }, { name: 'events_delivered', label: 'kafka', value: 4 }, { name: 'requests', value: 8 }],
};

test('each lane waits for the same events, so the longest queue is what waits', () => {
  expect(readingOf(process, 5)).toEqual({ time: 5, received: 12.5, waiting: 9 });
  expect(readingOf({ ...process, spool: { bytes: 0, lanes: {} } }, 5).waiting).toBe(0);
});

test('a total is over all labels', () => {
  expect(totalOf(process, 'events_delivered')).toBe(7);
  expect(totalOf(process, 'unknown')).toBe(0);
});

test('copies and dead letters are no losses', () => {
  const of = (what: string) => isLoss({ what, reason: '', count: 1 });
  expect(['events_rejected', 'client_events_discarded', 'events_expired'].map(of)).toEqual([true, true, true]);
  expect(['events_duplicate', 'events_dead_lettered', 'requests_refused', 'live_events_dropped'].map(of)).toEqual([false, false, false, false]);
});
