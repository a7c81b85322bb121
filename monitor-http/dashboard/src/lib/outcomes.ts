// How requests ended: classes of status over time, and classes of failure, from the same rows.

import { countOf, numberOf, textOf, type Row } from '../api/table.ts';

export const STATUS_CLASSES = ['2xx', '3xx', '4xx', '5xx', 'none'] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

/** The failures that the SDK tells apart (docs/protocol.md); others come last, by their own name. */
export const FAILURES = ['network', 'timeout', 'abort', 'http', 'business'] as const;
export type Failure = (typeof FAILURES)[number];

/** `none`: there was no answer, or its status is not one. */
export function statusClass(status: number): StatusClass {
  const hundreds = Math.floor(status / 100);
  return hundreds === 2 || hundreds === 3 || hundreds === 4 || hundreds === 5 ? `${hundreds}xx` : 'none';
}

export function statusSeries(rows: readonly Row[], times: readonly number[]): Record<StatusClass, number[]> {
  const places = new Map(times.map((time, index) => [time, index]));
  const series = Object.fromEntries(STATUS_CLASSES.map((name) => [name, times.map(() => 0)])) as Record<StatusClass, number[]>;
  for (const row of rows) {
    const place = places.get(numberOf(row, 'time') ?? Number.NaN);
    if (place === undefined) continue;
    const values = series[statusClass(Number(textOf(row, 'status')))];
    values[place] = (values[place] ?? 0) + countOf(row, 'count');
  }
  return series;
}

/** Failed requests by class, most first. */
export function failureTotals(rows: readonly Row[]): { failure: string; count: number }[] {
  const totals = new Map<string, number>();
  for (const row of rows) {
    const failure = textOf(row, 'failure');
    if (failure) totals.set(failure, (totals.get(failure) ?? 0) + countOf(row, 'count'));
  }
  return [...totals].map(([failure, count]) => ({ failure, count })).sort((a, b) => b.count - a.count || a.failure.localeCompare(b.failure));
}

/** Statuses of the answers that failed, most first. */
export function statusTotals(rows: readonly Row[]): { status: string; count: number }[] {
  const totals = new Map<string, number>();
  for (const row of rows) {
    const status = textOf(row, 'status');
    if (Number(status) >= 400) totals.set(status, (totals.get(status) ?? 0) + countOf(row, 'count'));
  }
  return [...totals].map(([status, count]) => ({ status, count })).sort((a, b) => b.count - a.count || a.status.localeCompare(b.status));
}

export interface Endpoint {
  method: string;
  target: string;
  count: number;
  failures: number;
  rate: number;
  p50: number | null;
  p75: number | null;
  p95: number | null;
  /** All of them together, ms. */
  total: number | null;
}

export function endpointsOf(rows: readonly Row[]): Endpoint[] {
  return rows.map((row) => {
    const [count, failures] = [countOf(row, 'count'), countOf(row, 'failures')];
    return {
      method: textOf(row, 'method'), target: textOf(row, 'target'), count, failures, rate: count ? failures / count : 0,
      p50: numberOf(row, 'p50'), p75: numberOf(row, 'p75'), p95: numberOf(row, 'p95'), total: numberOf(row, 'sum'),
    };
  });
}

/** What all addresses begin with: their one origin, or nothing when they have several. */
export function commonOrigin(targets: readonly string[]): string {
  const origins = new Set(targets.map((target) => /^https?:\/\/[^/]*/.exec(target)?.[0] ?? ''));
  const [origin = ''] = origins;
  return origins.size === 1 ? origin : '';
}

/** Below this many, a share or a percentile says little about what is ranked by it. */
export const ENOUGH = 20;

/** The largest by a measure, of those there are enough of; nothing that has none of it. */
export function worst<T extends { count: number }>(all: readonly T[], measure: (one: T) => number | null, n: number): T[] {
  const ranked = all.filter((one) => one.count >= ENOUGH && (measure(one) ?? 0) > 0);
  return ranked.sort((a, b) => (measure(b) ?? 0) - (measure(a) ?? 0)).slice(0, n);
}
