// Funnels, retention and paths of docs/query-api.md over an array of events.

import { QueryError, select } from './query.mjs';

const DAY = 86_400_000;
const stats = (rows) => ({ elapsed_ms: 1, rows_read: rows, source: 'events', sample: 1, error: 0 });
const whoOf = (by) => (event) => (by === 'session' ? event.session : event.visitor || event.session);

/** Events of each visitor or session, in the order of their times. */
function journeys(events, by) {
  const found = new Map();
  const who = whoOf(by);
  for (const event of [...events].sort((a, b) => a.time - b.time)) {
    const id = who(event);
    if (!id) continue;
    if (found.has(id)) found.get(id).push(event);
    else found.set(id, [event]);
  }
  return found;
}

/** Whether an event is one of `happening`. */
function test(happening, range) {
  const { kinds = [], filters = [] } = happening;
  return (event) => select([event], { ...range, kinds, filters }).length > 0;
}

function median(numbers) {
  if (numbers.length === 0) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

export function runFunnel(events, { steps, within = DAY, by = 'visitor', ...query }) {
  if (!Array.isArray(steps) || steps.length < 2 || steps.length > 10) throw new QueryError('a funnel has 2 to 10 steps');
  const tests = steps.map((step) => test(step, query));
  const chosen = select(events, query);
  const reached = steps.map(() => ({ count: 0, times: [] }));
  for (const journey of journeys(chosen, by).values()) {
    // The furthest of all beginnings counts.
    let best = [];
    journey.forEach((first, start) => {
      if (!tests[0](first)) return;
      const times = [first.time];
      for (const event of journey.slice(start + 1)) {
        if (times.length === steps.length || event.time - first.time > within) break;
        if (tests[times.length](event)) times.push(event.time);
      }
      if (times.length > best.length) best = times;
    });
    best.forEach((time, step) => {
      reached[step].count++;
      if (step > 0) reached[step].times.push(time - best[step - 1]);
    });
  }
  const all = reached[0].count;
  const rows = reached.map(({ count, times }, index) => [
    index + 1, steps[index].label ?? '', count, all ? count / all : null, index === 0 ? 1 : reached[index - 1].count ? count / reached[index - 1].count : null, index === 0 ? null : median(times),
  ]);
  return { columns: ['step', 'label', 'count', 'share', 'share_of_previous', 'median_ms'], rows, stats: stats(chosen.length) };
}

export function runRetention(events, { period = 'day', first = {}, again = {}, ...query }) {
  const length = period === 'week' ? 7 * DAY : DAY;
  // Weeks begin on Monday; 1970 began on a Thursday.
  const shift = period === 'week' ? 3 * DAY : 0;
  const periodOf = (time) => Math.floor((time + shift) / length);
  const [begins, returns] = [test(first, query), test(again, query)];
  const chosen = select(events, query);
  const cohorts = new Map();
  for (const journey of journeys(chosen, 'visitor').values()) {
    const start = journey.find(begins);
    if (!start) continue;
    const cohort = periodOf(start.time);
    const seen = new Set([0, ...journey.filter((event) => event.time >= start.time && returns(event)).map((event) => periodOf(event.time) - cohort)]);
    if (!cohorts.has(cohort)) cohorts.set(cohort, new Map());
    for (const n of seen) cohorts.get(cohort).set(n, (cohorts.get(cohort).get(n) ?? 0) + 1);
  }
  const rows = [...cohorts].sort(([a], [b]) => a - b).flatMap(([cohort, periods]) =>
    [...periods].sort(([a], [b]) => a - b).map(([n, count]) => [cohort * length - shift, n, count, count / periods.get(0)]));
  return { columns: ['cohort', 'period', 'count', 'share'], rows, stats: stats(chosen.length) };
}

export function runPaths(events, { start, depth = 4, limit = 20, ...query }) {
  const chosen = select(events, { ...query, kinds: ['page_view'] });
  const counts = Array.from({ length: depth }, () => new Map());
  for (const journey of journeys(chosen, 'session').values()) {
    // A view of the same route again is no passage.
    const routes = journey.map(({ route }) => route).filter((route, index, all) => route !== all[index - 1]);
    const begin = start === undefined ? 0 : routes.indexOf(start);
    if (begin < 0) continue;
    for (let step = 0; step < depth && begin + step < routes.length; step++) {
      const key = JSON.stringify([routes[begin + step], routes[begin + step + 1] ?? null]);
      counts[step].set(key, (counts[step].get(key) ?? 0) + 1);
    }
  }
  const rows = counts.flatMap((passages, step) => {
    const all = [...passages.values()].reduce((sum, count) => sum + count, 0);
    return [...passages].sort(([, a], [, b]) => b - a).slice(0, limit).map(([key, count]) => [step + 1, ...JSON.parse(key), count, count / all]);
  });
  return { columns: ['step', 'source', 'target', 'count', 'share'], rows, stats: stats(chosen.length) };
}
