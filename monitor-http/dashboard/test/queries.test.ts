import { describe, expect, it } from 'vitest';
// @ts-expect-error the mock is plain JavaScript
import { runQuery } from '../mock/query.mjs';
// @ts-expect-error the mock is plain JavaScript
import { history } from '../mock/data.mjs';
import * as common from '../src/api/queries/common.ts';
import * as behaviour from '../src/api/queries/behaviour.ts';
import * as overview from '../src/api/queries/overview.ts';
import * as performance from '../src/api/queries/performance.ts';
import * as requests from '../src/api/queries/requests.ts';
import { binsOf, countOf, groupedBy, moved, partOf, rowsOf, seriesOf, totalsBy, type Row } from '../src/api/table.ts';
import { earlier, stepsOf, windowOf } from '../src/lib/range.ts';
import { NO_FILTERS } from '../src/state/url.ts';

const NOW = 1_732_096_812_345;
const window = windowOf({ preset: '24h' }, NOW);
const scope = { project: 'shop', filters: { ...NO_FILTERS, release: ['1.4.0'], route: ['/search', '/'] } };
const events = history('shop', NOW, 3);
const everything = { project: 'shop', filters: NO_FILTERS };

const stats = { elapsed_ms: 1, rows_read: 1 };

describe('questions', () => {
  const comparing = { ...scope, compare: true };
  const all = {
    traffic: overview.traffic(scope, window), before: overview.trafficBefore(comparing, window)!, people: overview.people(comparing, window), peopleCourse: overview.peopleCourse(scope, window), vitals: overview.vitals(scope, window), vitalsBefore: overview.vitalsBefore({ ...everything, compare: true }, window)!,
    releases: common.releases(scope, window),
    percentiles: performance.percentiles(scope, window), spread: performance.spread(scope, window, 'INP'), routeVitals: performance.routeVitals(scope, window),
    poorTargets: performance.poorTargets(scope, window, 'LCP'), loads: performance.loads(scope, window),
    ...Object.fromEntries(performance.BREAKDOWNS.map((field) => [field, performance.breakdown(scope, window, 'LCP', field)])),
    filterOptions: common.filterOptions('shop', window, 'release'), viewsYesterday: common.viewsYesterday('shop', NOW), anyEvent: common.anyEvent('shop', NOW),
  };
  it.each(Object.entries(all))('%s keeps to the contract and finds something', (_, query) => {
    expect(runQuery(events, JSON.parse(JSON.stringify(query))).rows.length).toBeGreaterThan(0);
  });

  it('carry the filters of the address and nothing empty', () => {
    expect(common.filtersOf({ ...scope.filters, 'attributes.plan': ['pro'], rating: [] })).toEqual([
      { field: 'route', op: 'in', values: ['/search', '/'] }, { field: 'release', op: 'in', values: ['1.4.0'] }, { field: 'attributes.plan', op: 'in', values: ['pro'] },
    ]);
    expect(all.people.filters).toEqual(common.filtersOf(scope.filters));
  });

  it('of releases are about all visitors of the environment, and keep the largest when there are too many', () => {
    const query = common.releases({ ...scope, filters: { ...scope.filters, environment: ['production'] } }, window);
    expect(query.filters).toEqual([{ field: 'environment', op: 'in', values: ['production'] }]);
    expect(query).toMatchObject({ step: window.step, order_by: { column: 'count', descending: true }, limit: 2_000 });
  });

  it('whether there is anything look at a whole day that is over', () => {
    const { from, to } = common.viewsYesterday('shop', NOW);
    expect([from, to].map((time) => new Date(time).toISOString())).toEqual(['2024-11-19T00:00:00.000Z', '2024-11-20T00:00:00.000Z']);
  });

  it('ask for what no sample and no rollup can tell only where the service has it worked out', () => {
    expect(requests.slowestFiles(scope, window).measures).not.toContain('max');
    expect(behaviour.views(scope, window).measures).toEqual(['count']);
  });

  it('ask for the period before only when the viewer compares and there can be one', () => {
    expect(all.people.compare).toBe(true);
    expect(overview.people(scope, window).compare).toBeUndefined();
    expect(overview.people(comparing, { ...window, from: 5, to: 20 }).compare).toBeUndefined();
  });

  it('over time are about the whole range, too, and beside it about the one before', () => {
    const table = runQuery(events, JSON.parse(JSON.stringify(behaviour.views(everything, window))));
    const sum = (rows: Row[] | null) => rows!.reduce((total, row) => total + countOf(row, 'count'), 0);
    expect(rowsOf(table).length).toBeGreaterThan(5);
    expect(sum(partOf(table, 'totals'))).toBe(sum(rowsOf(table)));
    expect(partOf(table, 'totals')!.map(({ time }) => time)).toEqual([null]);
    const before = behaviour.viewsBefore({ ...everything, compare: true }, window)!;
    expect([before.from, before.to, before.step]).toEqual([2 * window.from - window.to, window.from, undefined]);
    expect(behaviour.viewsBefore(everything, window)).toBeNull();
  });

  it('of a course begin their steps at the midnight of the viewer', () => {
    const shifted = windowOf({ preset: '30d' }, NOW, 9 * 3_600_000);
    const rows = rowsOf(runQuery(events, overview.peopleCourse(everything, shifted)));
    const times = new Set(stepsOf(shifted));
    expect(rows.length).toBeGreaterThan(20);
    for (const row of rows) expect(times.has(row['time'] as number)).toBe(true);
  });
});

describe('answers', () => {
  it('add up: the series of a range to its totals', () => {
    const series = seriesOf(rowsOf(runQuery(events, overview.traffic(everything, window))), stepsOf(window), 'count:page_view', 0);
    const [total] = rowsOf(runQuery(events, { ...common.within(everything, window), kinds: ['page_view'], measures: ['count'] }));
    expect(series.reduce((sum, count) => sum + count, 0)).toBe(countOf(total, 'count'));
    expect(countOf(total, 'count')).toBeGreaterThan(0);
  });

  it('hold the same steps of the period before', () => {
    const then = earlier(window)!;
    const rows = moved(rowsOf(runQuery(events, overview.trafficBefore({ ...everything, compare: true }, window)!)), window.from - then.from);
    const times = stepsOf(window);
    const course = seriesOf(rows, times, 'count:page_view', null);
    const [counted] = rowsOf(runQuery(events, { ...common.within(everything, { from: times[2]! - 24 * 3_600_000, to: times[3]! - 24 * 3_600_000 }), kinds: ['page_view'], measures: ['count'] }));
    expect(course[2]).toBe(countOf(counted, 'count'));
    expect(course[2]).toBeGreaterThan(0);
    expect(overview.trafficBefore(everything, window)).toBeNull();
    expect(partOf({ columns: [], rows: [], stats }, 'previous')).toBeNull();
  });

  it('of a histogram are bins, and what is none is left out', () => {
    const row = rowsOf(runQuery(events, performance.spread(everything, window, 'LCP')))[0];
    const bins = binsOf(row);
    const [total] = rowsOf(runQuery(events, { ...performance.spread(everything, window, 'LCP'), measures: ['count'] }));
    expect(bins.reduce((sum, [, , count]) => sum + count, 0)).toBe(countOf(total, 'count'));
    for (const [lower, upper] of bins) expect(upper / lower).toBeCloseTo(2 ** (1 / 12), 6);
    expect(binsOf({ histogram: [[1, 2, 3], [1, null, 3], 'x', [4]] })).toEqual([[1, 2, 3]]);
  });

  it('steps without a row are 0 for counts and unknown for percentiles', () => {
    const rows = rowsOf({ columns: ['time', 'count', 'p75'], rows: [[2000, 4, null], [3000, 1, 12.5]], stats });
    expect(seriesOf(rows, [1000, 2000, 3000], 'count', 0)).toEqual([0, 4, 1]);
    expect(seriesOf(rows, [1000, 2000, 3000], 'p75', null)).toEqual([null, null, 12.5]);
  });

  it('are summed per value, largest first', () => {
    const rows = rowsOf({ columns: ['browser', 'release', 'count'], rows: [['Safari', 'a', 2], ['Chrome', 'a', 3], ['Safari', 'b', 4]], stats });
    expect(totalsBy(rows, 'browser')).toEqual([{ value: 'Safari', count: 6 }, { value: 'Chrome', count: 3 }]);
    expect([...groupedBy(rows, 'release').keys()]).toEqual(['a', 'b']);
  });

  it('may name a column as something every object has', () => {
    expect(rowsOf({ columns: ['__proto__', 'constructor'], rows: [['x', 'y']], stats })[0]!['constructor']).toBe('y');
    expect(countOf(undefined, 'count')).toBe(0);
  });
});
