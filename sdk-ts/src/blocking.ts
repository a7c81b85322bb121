/** When a long task ran or a request was in flight, in ms since the navigation began. */
export type Span = [start: number, end: number, kind: typeof TASK | typeof REQUEST];

/** The quiet that proves that a page is interactive, in ms. */
const QUIET = 5_000;
/** What a task may take before it is long, in ms. */
const LONG = 50;
/** How busy a page is with one of them; below that of a task, it is quiet: with at most two requests. */
export const TASK = 3;
export const REQUEST = 1;

/**
 * Time to interactive (when the page came to rest, in ms since the navigation began) and total blocking time (what long tasks took
 * until then beyond 50 ms each, in ms), as https://web.dev/articles/tti and https://web.dev/articles/tbt define them; undefined
 * while there was no quiet window: 5 s after the first contentful paint without a long task and with at most two requests in flight.
 * `parsed` is the end of `DOMContentLoaded`, before which no page is interactive.
 */
export function blocking(fcp: number, parsed: number, now: number, spans: readonly Span[]): [tti: number, tbt: number] | undefined {
  const edges = spans.flatMap(([start, end, kind]) => [[start, kind], [end, -kind]] as [number, number][]);
  // What ends makes room for what begins at the same moment.
  edges.push([now, 0]);
  edges.sort(([a, change], [b, other]) => a - b || change - other);
  let busy = 0;
  let quiet = fcp;
  for (const [time, change] of edges) {
    if (busy < TASK && time - quiet >= QUIET) {
      const tasks = spans.filter(([, , kind]) => kind === TASK);
      const tti = Math.max(fcp, parsed, ...tasks.map(([start, end]) => (start < quiet ? end : 0)));
      // A task is cut to what lies between the paint and that moment before its first 50 ms are forgiven.
      return [tti, tasks.reduce((sum, [start, end]) => sum + Math.max(Math.min(end, tti) - Math.max(start, fcp) - LONG, 0), 0)];
    }
    if (busy >= TASK && busy + change < TASK) quiet = Math.max(quiet, time);
    busy += change;
  }
  return;
}
