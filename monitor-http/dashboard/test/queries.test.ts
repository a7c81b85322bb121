import { describe, expect, it } from 'vitest';
// @ts-expect-error the mock is plain JavaScript
import { runEvents, runQuery } from '../mock/query.mjs';
// @ts-expect-error the mock is plain JavaScript
import { history } from '../mock/data.mjs';
import * as queries from '../src/api/queries.ts';
import { countOf, groupedBy, rowsOf, seriesOf, totalsBy } from '../src/api/table.ts';
import { stepsOf, windowOf } from '../src/lib/range.ts';
import { NO_FILTERS } from '../src/state/url.ts';

const NOW = 1_732_096_812_345;
const window = windowOf({ preset: '24h' }, NOW);
const scope = { project: 'shop', filters: { ...NO_FILTERS, release: ['1.4.0'], route: ['/cart', '/'] } };
const events = history('shop', NOW, 3);
const everything = { project: 'shop', filters: NO_FILTERS };

describe('questions', () => {
  const all = {
    trafficTotals: queries.trafficTotals(scope, window), trafficSeries: queries.trafficSeries(scope, window), vitalTotals: queries.vitalTotals(scope, window),
    vitalSeries: queries.vitalSeries(scope, window), filterOptions: queries.filterOptions('shop', window), anyEvent: queries.anyEvent('shop', NOW),
    errorGroups: queries.errorGroups(scope, window, 'price', '-visitors'), errorGroupSeries: queries.errorGroupSeries(scope, window, ['9f2c61d0a4b7e813']),
    errorGroupReleases: queries.errorGroupReleases(scope, window, ['9f2c61d0a4b7e813']),
    errorTotals: queries.errorTotals(scope, window, '9f2c61d0a4b7e813'), errorSeries: queries.errorSeries(scope, window, '9f2c61d0a4b7e813'),
    errorBreakdown: queries.errorBreakdown(scope, window, '9f2c61d0a4b7e813'), routeTraffic: queries.routeTraffic(scope, window), routeVitals: queries.routeVitals(scope, window),
  };
  it.each(Object.entries(all))('%s keeps to the contract and finds something', (_, query) => {
    expect(runQuery(events, JSON.parse(JSON.stringify(query))).rows.length).toBeGreaterThan(0);
  });

  it('carry the filters of the header and nothing empty', () => {
    expect(queries.filtersOf(scope.filters)).toEqual([{ field: 'release', op: 'in', values: ['1.4.0'] }, { field: 'route', op: 'in', values: ['/cart', '/'] }]);
    expect(all.trafficTotals.filters).toEqual(queries.filtersOf(scope.filters));
  });

  it('search only when there is something to search for', () => {
    expect(queries.errorGroups(everything, window, '', '-count').filters).toEqual([]);
    expect(all.errorGroups.filters).toContainEqual({ field: 'message', op: 'contains', values: ['price'] });
  });

  it('samples turn pages without loss or repetition', () => {
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: { events: { id: string }[]; next: string | null } = runEvents(events, queries.errorSamples(everything, window, '9f2c61d0a4b7e813', cursor));
      seen.push(...page.events.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBe(countOf(rowsOf(runQuery(events, queries.errorTotals(everything, window, '9f2c61d0a4b7e813')))[0], 'count'));
  });
});

describe('answers', () => {
  it('add up: the series of a range to its totals', () => {
    const [totals] = rowsOf(runQuery(events, queries.trafficTotals(everything, window)));
    const series = seriesOf(rowsOf(runQuery(events, queries.trafficSeries(everything, window))), stepsOf(window), 'count:page_view', 0);
    expect(series.reduce((sum, count) => sum + count, 0)).toBe(countOf(totals, 'count:page_view'));
    expect(countOf(totals, 'count:page_view')).toBeGreaterThan(0);
  });

  it('steps without a row are 0 for counts and unknown for percentiles', () => {
    const rows = rowsOf({ columns: ['time', 'count', 'p75'], rows: [[2000, 4, null], [3000, 1, 12.5]] });
    expect(seriesOf(rows, [1000, 2000, 3000], 'count', 0)).toEqual([0, 4, 1]);
    expect(seriesOf(rows, [1000, 2000, 3000], 'p75', null)).toEqual([null, null, 12.5]);
  });

  it('are summed per value, largest first', () => {
    const rows = rowsOf({ columns: ['browser', 'release', 'count'], rows: [['Safari', 'a', 2], ['Chrome', 'a', 3], ['Safari', 'b', 4]] });
    expect(totalsBy(rows, 'browser')).toEqual([{ value: 'Safari', count: 6 }, { value: 'Chrome', count: 3 }]);
    expect([...groupedBy(rows, 'release').keys()]).toEqual(['a', 'b']);
  });

  it('may name a column as something every object has', () => {
    expect(rowsOf({ columns: ['__proto__', 'constructor'], rows: [['x', 'y']] })[0]!['constructor']).toBe('y');
    expect(countOf(undefined, 'count')).toBe(0);
  });
});
