// What the behaviour page asks: two questions for its figures beside those for people that the overview asks too, one for each of its lists,
// and one for each of its builders.

import type { TimeWindow } from '../../lib/range.ts';
import type { Filter, FunnelQuery, FunnelStep, PathQuery, Query, RetentionQuery } from '../types.ts';
import { before, is, isNot, summed, within, type Scope, type Span } from './common.ts';

export const LIST_ROWS = 50;
export const PATH_DEPTH = 4;
export const PATH_ROWS = 12;

const VIEWS = ['page_view'];

/** Not the visitors with them: who came in which hour is kept worked out, who did what in it is not, and every visit has page views. */
const viewFigures = (scope: Scope, span: Span): Query => ({ ...within(scope, span), kinds: VIEWS, measures: ['count'] });

export function views(scope: Scope, window: TimeWindow): Query {
  return { ...viewFigures(scope, window), ...summed(window) };
}

export function viewsBefore(scope: Scope, window: TimeWindow): Query | null {
  return before(scope, window, viewFigures);
}

/** Page views have no value, so the sum is that of the visible time. */
export function topPages(scope: Scope, window: TimeWindow): Query {
  return list({ ...within(scope, window), kinds: [...VIEWS, 'time_on_page'], group_by: ['route'], measures: ['count:page_view', 'visitors', 'sum'] }, 'count:page_view');
}

export function topReferrers(scope: Scope, window: TimeWindow): Query {
  return list({ ...within(scope, window, [isNot('referrer', '')]), kinds: VIEWS, group_by: ['referrer'], measures: ['count', 'visitors'] }, 'count');
}

export function topElements(scope: Scope, window: TimeWindow): Query {
  return list(
    { ...within(scope, window), kinds: ['click', 'rage_click', 'dead_click'], group_by: ['target'], measures: ['count', 'count:click', 'count:rage_click', 'count:dead_click', 'visitors'] },
    'count',
  );
}

function list(query: Query, column: string): Query {
  return { ...query, order_by: { column, descending: true }, limit: LIST_ROWS };
}

export function funnel(scope: Scope, window: TimeWindow, { steps, hours, by }: Funnel): FunnelQuery {
  return { ...within(scope, window), steps: steps.map(stepOf), within: hours * 3_600_000, by };
}

function stepOf({ kind, field, value }: Step): FunnelStep {
  const filters: Filter[] = value ? [is(field, value)] : [];
  return { label: value || kind, kinds: [kind], filters };
}

export function retention(scope: Scope, window: TimeWindow, period: 'day' | 'week'): RetentionQuery {
  return { ...within(scope, window), period };
}

export function paths(scope: Scope, window: TimeWindow, start: string): PathQuery {
  return { ...within(scope, window), ...(start && { start }), depth: PATH_DEPTH, limit: PATH_ROWS };
}

/** What a step of a funnel can be: a kind, and where it happens or what it is called. */
export const STEP_KINDS = { page_view: 'route', click: 'target', form_submit: 'target', track: 'name', exposure: 'target', request: 'target', error: 'name' } as const;
export type StepKind = keyof typeof STEP_KINDS;

export interface Step {
  kind: StepKind;
  field: (typeof STEP_KINDS)[StepKind];
  /** Empty: any. */
  value: string;
}

export interface Funnel {
  steps: Step[];
  /** Longest time from the first step to the last. */
  hours: number;
  by: 'visitor' | 'session';
}

export const MOST_STEPS = 10;

/** `page_view:/cart`, as the address holds it; `null` when it is none. */
export function parseStep(text: string): Step | null {
  const mark = text.indexOf(':');
  const kind = mark < 0 ? text : text.slice(0, mark);
  if (!Object.hasOwn(STEP_KINDS, kind)) return null;
  return { kind: kind as StepKind, field: STEP_KINDS[kind as StepKind], value: mark < 0 ? '' : text.slice(mark + 1, mark + 513) };
}

export const formatStep = ({ kind, value }: Step): string => `${kind}:${value}`;
