// A session as a story: chapters that begin with a page view, and in them what happened, with the pauses between.

import type { EventField, EventPart } from '../api/types.ts';
import { SUMMARY_FIELDS } from './kinds.ts';

/** What a timeline shows of an event; the rest is asked for when it is opened. */
export const MOMENT_FIELDS = [...SUMMARY_FIELDS, 'seq', 'page', 'url', 'title'] as const satisfies readonly EventField[];
export type MomentEvent = EventPart<(typeof MOMENT_FIELDS)[number]>;

/**
 * What one looks for in a session; every kind of event belongs to one lane. A lane holds more than the kind that a session counts, such as
 * page loads beside page views, so that none has the name of such a count.
 */
export const LANES = ['page', 'actions', 'rage', 'network', 'errors', 'vitals', 'slow', 'console', 'other'] as const;
export type Lane = (typeof LANES)[number];

const LANE_OF: Readonly<Record<string, Lane>> = {
  page_view: 'page', navigation: 'page', session: 'page', time_on_page: 'page', scroll_depth: 'page',
  click: 'actions', form_submit: 'actions', track: 'actions', exposure: 'actions',
  rage_click: 'rage', dead_click: 'rage',
  request: 'network', resource: 'network', span: 'network',
  error: 'errors', blank_screen: 'errors',
  vital: 'vitals', longtask: 'slow',
  console: 'console', message: 'console', csp: 'console', report: 'console',
};

export function laneOf(kind: string): Lane {
  return Object.hasOwn(LANE_OF, kind) ? LANE_OF[kind]! : 'other';
}

/** A pause from which on it is shown, ms. */
export const GAP = 30_000;

export type Item = { type: 'event'; event: MomentEvent; lane: Lane } | { type: 'gap'; from: number; to: number };

export interface Chapter {
  /** The page view it begins with; `null` for what came before the first one. */
  view: MomentEvent | null;
  /** ms since the epoch: from its first event to the first of the next chapter, or to its own last. */
  start: number;
  end: number;
  items: Item[];
  /** Events by lane, the page view itself apart; what a filter hides is counted, too. */
  counts: Partial<Record<Lane, number>>;
}

/** In the order in which they happened: by time, on one page by number, else by id. */
export function inOrder(events: readonly MomentEvent[]): MomentEvent[] {
  return [...events].sort((a, b) => a.time - b.time || (a.page === b.page ? (a.seq ?? 0) - (b.seq ?? 0) : 0) || (a.id < b.id ? -1 : 1));
}

/**
 * Cuts events into chapters. Only `shown` lanes become items (all when empty), page views always do, as heads. Pauses are those
 * between any two events: a filter does not make them longer.
 */
export function chaptersOf(events: readonly MomentEvent[], shown: ReadonlySet<Lane> = new Set()): Chapter[] {
  const chapters: Chapter[] = [];
  let before: number | null = null;
  for (const event of inOrder(events)) {
    let chapter = chapters.at(-1);
    const gap: Item[] = before !== null && event.time - before >= GAP ? [{ type: 'gap', from: before, to: event.time }] : [];
    before = event.time;
    if (event.kind === 'page_view' || !chapter) {
      // The pause before a view belongs to the page one was on.
      if (chapter) {
        chapter.items.push(...gap);
        chapter.end = event.time;
      }
      const view = event.kind === 'page_view' ? event : null;
      chapter = { view, start: event.time, end: event.time, items: [], counts: {} };
      chapters.push(chapter);
      if (view) continue;
    } else {
      chapter.items.push(...gap);
    }
    const lane = laneOf(event.kind);
    chapter.end = event.time;
    chapter.counts[lane] = (chapter.counts[lane] ?? 0) + 1;
    if (shown.size === 0 || shown.has(lane)) chapter.items.push({ type: 'event', event, lane });
  }
  return chapters;
}

/** How many events each lane has, page views included. */
export function laneCounts(events: readonly MomentEvent[]): Map<Lane, number> {
  const counts = new Map<Lane, number>();
  for (const { kind } of events) counts.set(laneOf(kind), (counts.get(laneOf(kind)) ?? 0) + 1);
  return counts;
}

/** Of events at nearly the same place one mark is enough: at most one in each of `cells` parts of the time, the worst of them. */
export function marksOf(events: readonly MomentEvent[], lane: Lane, from: number, to: number, cells: number, isBad: (event: MomentEvent) => boolean): { at: number; id: string; bad: boolean; count: number }[] {
  const length = Math.max(1, to - from);
  const marks = new Map<number, { at: number; id: string; bad: boolean; count: number }>();
  for (const event of events) {
    if (laneOf(event.kind) !== lane) continue;
    const at = Math.min(1, Math.max(0, (event.time - from) / length));
    const cell = Math.min(cells - 1, Math.floor(at * cells));
    const bad = isBad(event);
    const mark = marks.get(cell);
    if (!mark) marks.set(cell, { at, id: event.id, bad, count: 1 });
    else {
      mark.count++;
      if (bad && !mark.bad) Object.assign(mark, { at, id: event.id, bad });
    }
  }
  return [...marks.values()];
}
