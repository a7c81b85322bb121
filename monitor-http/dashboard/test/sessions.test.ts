import { describe, expect, it } from 'vitest';
import type { EventDocument } from '../src/api/types.ts';
import { GAP, chaptersOf, inOrder, laneCounts, laneOf, marksOf } from '../src/lib/timeline.ts';

let serial = 0;
const event = (time: number, kind: string, more: Partial<EventDocument> = {}) =>
  ({ id: `e${String(++serial).padStart(3, '0')}`, time, kind, seq: serial, page: 'p', failure: '', ...more }) as EventDocument;
const kindsOf = (items: ReturnType<typeof chaptersOf>[number]['items']) => items.map((item) => (item.type === 'event' ? item.event.kind : `gap ${item.to - item.from}`));

describe('a session', () => {
  const story = [
    event(0, 'vital'), event(10, 'page_view', { route: '/' }), event(20, 'request'), event(30 + GAP, 'click'),
    event(40 + GAP, 'page_view', { route: '/cart' }), event(50 + GAP, 'error'), event(60 + GAP, 'rage_click'),
  ];

  it('has chapters that begin with page views', () => {
    const chapters = chaptersOf(story);
    expect(chapters.map(({ view, start, end }) => [view?.route ?? null, start, end])).toEqual([[null, 0, 10], ['/', 10, 40 + GAP], ['/cart', 40 + GAP, 60 + GAP]]);
    expect(chapters.map(({ items }) => kindsOf(items))).toEqual([['vital'], ['request', `gap ${GAP + 10}`, 'click'], ['error', 'rage_click']]);
  });

  it('keeps its heads, pauses and counts under a filter', () => {
    const chapters = chaptersOf(story, new Set(['errors']));
    expect(chapters.map(({ items }) => kindsOf(items))).toEqual([[], [`gap ${GAP + 10}`], ['error']]);
    expect(chapters.map(({ counts }) => counts)).toEqual([{ vitals: 1 }, { network: 1, actions: 1 }, { errors: 1, rage: 1 }]);
  });

  it('pauses before the next page on the page one was on', () => {
    const chapters = chaptersOf([event(0, 'page_view'), event(GAP, 'page_view')]);
    expect(chapters.map(({ items }) => kindsOf(items))).toEqual([[`gap ${GAP}`], []]);
  });

  it('without events has no chapters', () => {
    expect(chaptersOf([])).toEqual([]);
  });

  it('is in order of time, and of numbers within a millisecond of a page', () => {
    const [second, first, other] = [event(5, 'click', { seq: 2 }), event(5, 'page_view', { seq: 1 }), event(4, 'vital', { seq: 9 })];
    expect(inOrder([second, first, other]).map(({ kind }) => kind)).toEqual(['vital', 'page_view', 'click']);
  });
});

describe('lanes', () => {
  it('take every kind, and those nobody has heard of', () => {
    expect(['page_view', 'rage_click', 'csp', 'web-rtc', 'constructor'].map(laneOf)).toEqual(['page', 'rage', 'console', 'other', 'other']);
    expect([...laneCounts([event(0, 'click'), event(1, 'track'), event(2, 'error')])]).toEqual([['actions', 2], ['errors', 1]]);
  });

  it('are drawn with one mark for what falls together, and show what is bad', () => {
    const requests = [event(0, 'request'), event(1, 'request', { failure: 'http' }), event(2, 'request'), event(90, 'request'), event(95, 'error')];
    const marks = marksOf(requests, 'network', 0, 100, 10, ({ failure }) => failure !== '');
    expect(marks.map(({ at, bad, count }) => [at, bad, count])).toEqual([[0.01, true, 3], [0.9, false, 1]]);
    expect(marksOf([event(7, 'error')], 'errors', 7, 7, 10, () => true)).toMatchObject([{ at: 0, bad: true }]);
  });
});
