// What all questions are made of. A page asks few of them: what one answer can hold (several measures, a group) is one question.

import { VITAL_NAMES } from '../../lib/bands.ts';
import type { TimeWindow } from '../../lib/range.ts';
import { NO_FILTERS, filteredFields, type Filters } from '../../state/url.ts';
import type { Filter, Query, Scoped } from '../types.ts';

export interface Scope {
  project: string;
  filters: Filters;
  /** Whether the period before is of interest, too. */
  compare?: boolean;
}

/** Most rows and events in an answer. */
export const MAX_LIMIT = 10_000;
/** The longest range that the service answers, ms. */
export const MAX_RANGE = 400 * 86_400_000;

/** The filters of the address; a field has more than one value when any of them will do. */
export function filtersOf(filters: Filters): Filter[] {
  return filteredFields(filters).map((field) => ({ field, op: 'in', values: filters[field] ?? [] }));
}

export const is = (field: string, ...values: string[]): Filter => ({ field, op: 'in', values });
export const isNot = (field: string, ...values: string[]): Filter => ({ field, op: 'not_in', values });
export const contains = (field: string, value: string): Filter => ({ field, op: 'contains', values: [value] });

export const vitalNames: Filter = is('name', ...VITAL_NAMES);

/** Project, range and filters of the view, and `more` filters. */
export function within(scope: Scope, window: { from: number; to: number }, more: Filter[] = []): Required<Scoped> {
  return { project: scope.project, from: window.from, to: window.to, filters: [...filtersOf(scope.filters), ...more] };
}

export interface Span {
  from: number;
  to: number;
}

/** The period before, of the same length, when the viewer compares and there can be one. */
function spanBefore(scope: Scope, { from, to }: Span): Span | null {
  const length = to - from;
  return scope.compare && from >= length ? { from: from - length, to: from } : null;
}

/** A question about the period before. */
export function before(scope: Scope, window: Span, question: (scope: Scope, span: Span) => Query): Query | null {
  const span = spanBefore(scope, window);
  return span && question(scope, span);
}

/** Adds the period before to a question without steps. With them it would not do: steps of a range that ends now are no whole hours of the one before, so the service would read its events. */
export function compared<T extends Scoped>(scope: Scope, query: T): T & { compare?: boolean } {
  return spanBefore(scope, query) ? { ...query, compare: true } : query;
}

/** The members that make a question one over time, in steps of the viewer's zone. */
export function stepped(window: TimeWindow): Pick<Query, 'step' | 'zone_offset' | 'limit'> {
  return { step: window.step, limit: MAX_LIMIT, ...(window.zone === 0 ? {} : { zone_offset: window.zone }) };
}

/** The members that make a question one over time and about the whole range: what a tile or a strip shows comes with its course. */
export function summed(window: TimeWindow): Pick<Query, 'step' | 'zone_offset' | 'limit' | 'totals'> {
  return { ...stepped(window), totals: true };
}

/** More than the steps of twenty releases over three months. The smallest are left out, which is where nobody had moved to the release yet. */
const RELEASE_STEPS = 2_000;

/** The page views of each release in each step: when a release came shows in them. Of all visitors, as a release is one for all, but an environment has its own. */
export function releases({ project, filters: { environment } }: Scope, window: TimeWindow): Query {
  return {
    ...within({ project, filters: { ...NO_FILTERS, environment } }, window), ...stepped(window), kinds: ['page_view'], group_by: ['release'], measures: ['count'],
    order_by: { column: 'count', descending: true }, limit: RELEASE_STEPS,
  };
}

const OPTION_VALUES = 200;

/** The values that a filter of the header offers, the most seen first. Asked when it is opened, without filters: a chosen release must not hide the others. */
export function filterOptions(project: string, window: { from: number; to: number }, field: string): Query {
  return {
    project, from: window.from, to: window.to, kinds: ['page_view'], group_by: [field], measures: ['count'],
    order_by: { column: 'count', descending: true }, limit: OPTION_VALUES,
  };
}

const DAY = 86_400_000;

/** Whether somebody came yesterday. A day of UTC that is over is a few rows for the service, the present one all of its events. */
export function viewsYesterday(project: string, now: number): Query {
  const today = now - (now % DAY);
  return { project, from: today - DAY, to: today, kinds: ['page_view'], measures: ['count'] };
}

/** Whether the project ever had an event, as far back as one may ask. A day ahead, because browsers' clocks may run ahead. */
export function anyEvent(project: string, now: number): Query {
  return { project, from: now + DAY - MAX_RANGE, to: now + DAY, measures: ['count'] };
}
