// Every question the dashboard asks, as pure functions of project, filters and window. A page asks few of them:
// what one answer can hold (several measures, a group) is one question.

import { VITAL_NAMES } from '../lib/bands.ts';
import type { TimeWindow } from '../lib/range.ts';
import { FILTER_FIELDS, type Filters } from '../state/url.ts';
import type { EventsQuery, Filter, Query } from './types.ts';

export interface Scope {
  project: string;
  filters: Filters;
}

const TRAFFIC = ['page_view', 'error', 'request'];
const TRAFFIC_MEASURES = ['count:page_view', 'count:error', 'count:request', 'failures'];
export const MAX_LIMIT = 10_000;
export const ERROR_GROUPS = 100;
export const PAGE_ROWS = 500;

export function filtersOf(filters: Filters): Filter[] {
  return FILTER_FIELDS.filter((field) => filters[field].length > 0).map((field) => ({ field, op: 'in', values: filters[field] }));
}

function base(scope: Scope, window: { from: number; to: number }, more: Filter[] = []) {
  return { project: scope.project, from: window.from, to: window.to, filters: [...filtersOf(scope.filters), ...more] };
}

const vitalNames: Filter = { field: 'name', op: 'in', values: [...VITAL_NAMES] };

export function trafficTotals(scope: Scope, window: { from: number; to: number }): Query {
  return { ...base(scope, window), kinds: TRAFFIC, measures: [...TRAFFIC_MEASURES, 'visitors', 'sessions'] };
}

export function trafficSeries(scope: Scope, window: TimeWindow): Query {
  return { ...base(scope, window), kinds: TRAFFIC, step: window.step, measures: TRAFFIC_MEASURES, limit: MAX_LIMIT };
}

export function vitalTotals(scope: Scope, window: TimeWindow): Query {
  return {
    ...base(scope, window, [vitalNames]), kinds: ['vital'], group_by: ['name'],
    measures: ['count', 'p75', 'good', 'needs_improvement', 'poor'],
  };
}

export function vitalSeries(scope: Scope, window: TimeWindow): Query {
  return {
    ...base(scope, window, [vitalNames]), kinds: ['vital'], group_by: ['name'], step: window.step,
    measures: ['p75', 'count'], limit: MAX_LIMIT,
  };
}

/** The values that the filters of the header offer. Asked without filters: a chosen release must not hide the others. */
export function filterOptions(project: string, window: { from: number; to: number }): Query {
  return {
    project, from: window.from, to: window.to, group_by: ['release', 'environment', 'browser'], measures: ['count'],
    order_by: { column: 'count', descending: true }, limit: 1000,
  };
}

/** The longest range that the service answers, ms. */
export const MAX_RANGE = 400 * 86_400_000;

/** Whether the project ever had an event, as far back as one may ask. A day ahead, because browsers' clocks may run ahead. */
export function anyEvent(project: string, now: number): Query {
  return { project, from: now + 86_400_000 - MAX_RANGE, to: now + 86_400_000, measures: ['count'] };
}

export const ERROR_SORTS = { '-count': 'count', '-visitors': 'visitors', '-last_seen': 'last_seen', '-first_seen': 'first_seen' } as const;
export type ErrorSort = keyof typeof ERROR_SORTS;

export function errorGroups(scope: Scope, window: TimeWindow, search: string, sort: ErrorSort): Query {
  const contains: Filter[] = search ? [{ field: 'message', op: 'contains', values: [search] }] : [];
  return {
    ...base(scope, window, contains), kinds: ['error'], group_by: ['fingerprint'],
    measures: ['count', 'visitors', 'first_seen', 'last_seen', 'any_name', 'any_message'],
    order_by: { column: ERROR_SORTS[sort], descending: true }, limit: ERROR_GROUPS,
  };
}

/** The course of the listed groups: a hundred groups and thirty steps stay below the limit. */
export function errorGroupSeries(scope: Scope, window: TimeWindow, fingerprints: string[]): Query {
  return {
    ...base(scope, window, [{ field: 'fingerprint', op: 'in', values: fingerprints }]), kinds: ['error'],
    group_by: ['fingerprint'], step: window.step, measures: ['count'], limit: MAX_LIMIT,
  };
}

/** The releases of the listed groups, those seen last first: what the limit cuts off is old. */
export function errorGroupReleases(scope: Scope, window: TimeWindow, fingerprints: string[]): Query {
  return {
    ...base(scope, window, [{ field: 'fingerprint', op: 'in', values: fingerprints }]), kinds: ['error'],
    group_by: ['fingerprint', 'release'], measures: ['last_seen'], order_by: { column: 'last_seen', descending: true }, limit: MAX_LIMIT,
  };
}

const oneGroup = (fingerprint: string): Filter[] => [{ field: 'fingerprint', op: 'in', values: [fingerprint] }];

export function errorTotals(scope: Scope, window: TimeWindow, fingerprint: string): Query {
  return {
    ...base(scope, window, oneGroup(fingerprint)), kinds: ['error'],
    measures: ['count', 'visitors', 'sessions', 'first_seen', 'last_seen', 'any_name', 'any_message'],
  };
}

export function errorSeries(scope: Scope, window: TimeWindow, fingerprint: string): Query {
  return { ...base(scope, window, oneGroup(fingerprint)), kinds: ['error'], step: window.step, measures: ['count'], limit: MAX_LIMIT };
}

export function errorBreakdown(scope: Scope, window: TimeWindow, fingerprint: string): Query {
  return {
    ...base(scope, window, oneGroup(fingerprint)), kinds: ['error'], group_by: ['browser', 'route', 'release'], measures: ['count'],
    order_by: { column: 'count', descending: true }, limit: 1000,
  };
}

export function errorSamples(scope: Scope, window: { from: number; to: number }, fingerprint: string, cursor: string | null): EventsQuery {
  return { ...base(scope, window, oneGroup(fingerprint)), kinds: ['error'], order: 'newest', limit: 20, cursor };
}

export function routeTraffic(scope: Scope, window: TimeWindow): Query {
  return {
    ...base(scope, window), kinds: TRAFFIC, group_by: ['route'], measures: [...TRAFFIC_MEASURES, 'visitors'],
    order_by: { column: 'count:page_view', descending: true }, limit: PAGE_ROWS,
  };
}

export function routeVitals(scope: Scope, window: TimeWindow): Query {
  return {
    ...base(scope, window, [vitalNames]), kinds: ['vital'], group_by: ['route', 'name'], measures: ['p75', 'count'],
    order_by: { column: 'count', descending: true }, limit: MAX_LIMIT,
  };
}
