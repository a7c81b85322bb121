import { countOf, numberOf, textOf, type Row } from '../api/table.ts';
import type { Mark } from '../charts/spec.ts';

/** A release with a smaller share of the views since it was first seen is an old tab, not a rollout. */
const ROLLOUT = 0.005;

/** When each release was first seen, from its counts by step; those that were there from the beginning may be older than the range and get no mark. */
export function releaseMarks(rows: readonly Row[], times: readonly number[]): Mark[] {
  const first = new Map<string, number>();
  for (const row of rows) {
    const time = numberOf(row, 'time');
    if (time !== null) first.set(textOf(row, 'release'), Math.min(time, first.get(textOf(row, 'release')) ?? Infinity));
  }
  const begin = Math.max(Math.min(...first.values()), times[0] ?? 0);
  const views = (since: number, release: string | null) =>
    rows.reduce((sum, row) => ((numberOf(row, 'time') ?? 0) >= since && (release === null || textOf(row, 'release') === release) ? sum + countOf(row, 'count') : sum), 0);
  return [...first]
    .filter(([release, time]) => release !== '' && time > begin && views(time, release) >= ROLLOUT * views(time, null))
    .map(([label, time]) => ({ time, label })).sort((a, b) => a.time - b.time);
}
