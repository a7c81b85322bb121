import { describe, expect, it } from 'vitest';
import { rowsOf } from '../src/api/table.ts';
import { commonOrigin, endpointsOf, failureTotals, statusClass, statusSeries, statusTotals, worst } from '../src/lib/outcomes.ts';
import { releaseMarks } from '../src/lib/releases.ts';

const answer = (columns: string[], rows: (string | number | null)[][]) => rowsOf({ columns, rows, stats: { elapsed_ms: 0, rows_read: 0 } });

describe('outcomes of requests', () => {
  const rows = answer(['time', 'status', 'failure', 'count'], [
    [1000, 200, '', 90], [1000, 204, '', 5], [1000, 502, 'http', 3], [1000, 0, 'network', 2],
    [2000, 200, '', 10], [2000, 200, 'business', 4], [2000, 404, 'http', 1], [2000, 302, '', 7], [9000, 200, '', 1],
  ]);

  it('are classes of status at each step', () => {
    const series = statusSeries(rows, [1000, 2000]);
    expect(series).toEqual({ '2xx': [95, 14], '3xx': [0, 7], '4xx': [0, 1], '5xx': [3, 0], none: [2, 0] });
  });

  it('have classes of failure, and failed statuses apart: a business failure has a good status', () => {
    expect(failureTotals(rows)).toEqual([{ failure: 'business', count: 4 }, { failure: 'http', count: 4 }, { failure: 'network', count: 2 }]);
    expect(statusTotals(rows)).toEqual([{ status: '502', count: 3 }, { status: '404', count: 1 }]);
  });

  it('that no status tells are answers that never came', () => {
    expect([0, 99, 700, Number.NaN].map(statusClass)).toEqual(['none', 'none', 'none', 'none']);
    expect([200, 299, 301, 499, 599].map(statusClass)).toEqual(['2xx', '2xx', '3xx', '4xx', '5xx']);
  });
});

describe('endpoints', () => {
  const all = endpointsOf(answer(['method', 'target', 'count', 'failures', 'p50', 'p75', 'p95', 'sum'], [
    ['GET', '/a', 1000, 10, 20, 30, 90, 30_000], ['POST', '/rare', 2, 2, 5000, 5000, 5000, 10_000], ['GET', '/b', 100, 20, 10, 20, 400, 2_000], ['GET', '/c', 50, 0, 1, 1, null, null],
  ]));

  it('that are rare lead no ranking', () => {
    expect(worst(all, ({ p95 }) => p95, 5).map(({ target }) => target)).toEqual(['/b', '/a']);
    expect(worst(all, ({ rate }) => rate, 1).map(({ target }) => target)).toEqual(['/b']);
  });

  it('leave out what all of them begin with', () => {
    expect(commonOrigin(['https://a.example/x', 'https://a.example/y'])).toBe('https://a.example');
    expect([commonOrigin(['https://a.example/x', 'https://b.example/x']), commonOrigin(['/x', 'https://a.example/']), commonOrigin([])]).toEqual(['', '', '']);
  });

  it('have a share of failures', () => {
    expect(all.map(({ rate }) => rate)).toEqual([0.01, 1, 0.2, 0]);
  });
});

describe('releases', () => {
  const course = (...rows: [number, string, number][]) => answer(['time', 'release', 'count'], rows);
  const times = [1, 2, 3, 4];

  it('are marked where their first views are', () => {
    expect(releaseMarks(course([1, '1.0', 50], [2, '1.0', 50], [2, '1.1', 30], [3, '1.1', 80]), times)).toEqual([{ time: 2, label: '1.1' }]);
  });

  it('of an old tab are no rollout', () => {
    expect(releaseMarks(course([1, '1.0', 500], [2, '1.0', 500], [3, '1.0', 500], [3, '0.9', 1]), times)).toEqual([]);
  });

  it('that were there when the range began are not new', () => {
    expect(releaseMarks(course([2, '1.0', 5], [3, '1.0', 5]), times)).toEqual([]);
    expect(releaseMarks(course([2, '', 5], [3, '', 5]), times)).toEqual([]);
  });
});
