// What the page of requests and resources asks: a few questions for each of its tabs, and one more for what is opened.

import type { TimeWindow } from '../../lib/range.ts';
import type { EventsQuery, Query } from '../types.ts';
import { before, is, isNot, stepped, summed, within, type Scope, type Span } from './common.ts';

/** The busiest endpoints and files; they are ordered and searched on the page. */
export const ENDPOINT_ROWS = 1_000;
export const SAMPLE_EVENTS = 8;

const DURATIONS = ['p50', 'p75', 'p95'];

const requestFigures = (scope: Scope, span: Span): Query => ({ ...within(scope, span), kinds: ['request'], measures: ['count', 'failures', ...DURATIONS] });

/** Durations, over time and of the whole range. Apart from the outcomes, because this can be read from rollups and those cannot. */
export function durations(scope: Scope, window: TimeWindow): Query {
  return { ...requestFigures(scope, window), ...summed(window) };
}

export function durationsBefore(scope: Scope, window: TimeWindow): Query | null {
  return before(scope, window, requestFigures);
}

/** How requests ended, over time: status classes and classes of failure come from the same rows. */
export function requestOutcomes(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window), ...stepped(window), kinds: ['request'], group_by: ['status', 'failure'], measures: ['count'] };
}

export function endpoints(scope: Scope, window: TimeWindow): Query {
  return {
    ...within(scope, window), kinds: ['request'], group_by: ['method', 'target'], measures: ['count', 'failures', ...DURATIONS, 'sum'],
    order_by: { column: 'count', descending: true }, limit: ENDPOINT_ROWS,
  };
}

/** The latest requests to one endpoint, or the latest of them that failed. */
export function endpointEvents(scope: Scope, window: { from: number; to: number }, { method, target, failed }: { method: string; target: string; failed: boolean }): EventsQuery {
  const only = failed ? [isNot('failure', '')] : [];
  return { ...within(scope, window, [is('target', target), is('method', method), ...only]), kinds: ['request'], order: 'newest', limit: SAMPLE_EVENTS };
}

/** By type: an event is what one page loaded of a type, its value the duration of the slowest file. */
export function resourceTypes(scope: Scope, window: TimeWindow): Query {
  return {
    ...within(scope, window), kinds: ['resource'], group_by: ['name'], measures: ['count', ...DURATIONS, 'max'],
    order_by: { column: 'count', descending: true }, limit: 50,
  };
}

/** Of all types, of which there are few: to ask for the largest first would be a question more. */
export function resourceCourse(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window), ...stepped(window), kinds: ['resource'], group_by: ['name'], measures: ['count', 'p75'] };
}

/** Files by how often they were the slowest of their type. Without `max`, which no sample can tell: every event would be read for it. */
export function slowestFiles(scope: Scope, window: TimeWindow): Query {
  return {
    ...within(scope, window), kinds: ['resource'], group_by: ['name', 'target'], measures: ['count', ...DURATIONS],
    order_by: { column: 'count', descending: true }, limit: ENDPOINT_ROWS,
  };
}

export function fileEvents(scope: Scope, window: { from: number; to: number }, { name, target }: { name: string; target: string }): EventsQuery {
  return { ...within(scope, window, [is('target', target), is('name', name)]), kinds: ['resource'], order: 'newest', limit: SAMPLE_EVENTS };
}
