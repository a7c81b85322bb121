import type { Bin } from '../api/table.ts';

export interface Bar {
  lower: number;
  upper: number;
  count: number;
}

const BARS = 48;
/** The few slowest are drawn in the last bar: a linear axis up to them would show nothing else. */
const SHOWN = 0.98;

/**
 * Bars of about equal width from the bins of an answer, whose widths differ: a bin is spread over the bars it overlaps. `edges` (limits of bands)
 * that lie within become edges of bars, so that no bar belongs to two bands.
 */
export function binsFor(bins: readonly Bin[], edges: readonly number[] = []): { bars: Bar[]; total: number; beyond: number } {
  const counted = bins.filter(([, , count]) => count > 0);
  const total = counted.reduce((sum, [, , count]) => sum + count, 0);
  const [first] = counted;
  if (!first) return { bars: [], total: 0, beyond: 0 };
  const lower = first[0] > 0 && first[0] < quantileOf(counted, total, SHOWN) / 4 ? 0 : first[0];
  let upper = Math.max(quantileOf(counted, total, SHOWN), ...edges.filter((edge) => edge < quantileOf(counted, total, 0.995)).map((edge) => edge * 1.1));
  if (!(upper > lower)) upper = lower + (Math.abs(lower) || 1);
  const cuts = cutsOf([lower, ...edges.filter((edge) => edge > lower && edge < upper), upper]);
  const bars: Bar[] = cuts.slice(0, -1).map((cut, index) => ({ lower: cut, upper: cuts[index + 1]!, count: 0 }));
  let beyond = 0;
  for (const [from, to, count] of counted) {
    const width = to - from;
    for (const bar of bars) {
      const overlap = width > 0 ? Math.max(0, Math.min(to, bar.upper) - Math.max(from, bar.lower)) / width : from >= bar.lower && from < bar.upper ? 1 : 0;
      bar.count += count * overlap;
    }
    const over = width > 0 ? Math.max(0, to - Math.max(from, upper)) / width : from >= upper ? 1 : 0;
    beyond += count * over;
  }
  bars.at(-1)!.count += beyond;
  return { bars, total, beyond };
}

/** Cuts between the edges, about equally far from each other. */
function cutsOf(edges: readonly number[]): number[] {
  const [first, last] = [edges[0]!, edges.at(-1)!];
  const step = (last - first) / BARS;
  return [...edges.slice(0, -1).flatMap((edge, index) => {
    const length = edges[index + 1]! - edge;
    const count = Math.max(1, Math.round(length / step));
    return Array.from({ length: count }, (_, at) => edge + (length * at) / count);
  }), last];
}

function quantileOf(bins: readonly Bin[], total: number, share: number): number {
  let seen = 0;
  for (const [, upper, count] of bins) {
    seen += count;
    if (seen >= total * share) return upper;
  }
  return bins.at(-1)?.[1] ?? 0;
}
