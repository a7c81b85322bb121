// How the stand-in is doing: `query/system` and `query/storage` of docs/query-api.md.

/** The figures move with the time, as those of a service do. */
export function system(now, started) {
  const lane = { events: Math.round(120 + 80 * Math.sin(now / 20_000)), age_ms: 640, dead_letters: 2, delivered: 482_113, retried: 3 };
  return {
    version: '0.1.0', started, uptime_seconds: (now - started) / 1000, ready: true, store_available: true,
    process: {
      rates: { over_seconds: 60, per_second: { events_accepted: 41 + 9 * Math.sin(now / 15_000), events_received: 52 } },
      spool: { bytes: 1_482_752, lanes: { clickhouse: lane } },
      consumer_lag: {},
      drops: [
        { what: 'events_duplicate', reason: 'window', count: 311 }, { what: 'events_rejected', reason: 'bad_kind', count: 4 },
        { what: 'client_events_discarded', reason: 'queue_overflow', count: 17 }, { what: 'requests_refused', reason: 'unknown_key', count: 9 },
        { what: 'events_dead_lettered', reason: 'clickhouse', count: 2 },
      ],
      live_viewers: 1,
      metrics: [{ name: 'events_delivered', label: 'clickhouse', value: 482_113 }, { name: 'events_accepted', value: 482_240 }],
    },
  };
}

export function storage(events) {
  const oldest = events.reduce((least, { time }) => Math.min(least, time), Infinity);
  const row = (table, rows, bytes) => [table, rows, bytes, Number.isFinite(oldest) ? Math.floor(oldest / 86_400_000) * 86_400_000 : null];
  const rows = [row('events', events.length, events.length * 96), row('rollup_hours', Math.ceil(events.length / 6), events.length * 3), row('rollup_sessions', Math.ceil(events.length / 20), events.length * 4)];
  return { columns: ['table', 'rows', 'bytes', 'oldest'], rows, stats: { elapsed_ms: 1, rows_read: 3, source: 'events', sample: 1, error: 0 } };
}
