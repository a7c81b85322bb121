import type { VitalName } from '../../lib/bands.ts';
import type { TimeWindow } from '../../lib/range.ts';
import type { EventsQuery, Query } from '../types.ts';
import { is, summed, vitalNames, within, type Scope } from './common.ts';

const one = (scope: Scope, window: { from: number; to: number }, name: VitalName) => ({ ...within(scope, window, [is('name', name)]), kinds: ['vital'] });

/** Of all vitals: the page has a line for each, and the chosen one in full. */
export function percentiles(scope: Scope, window: TimeWindow): Query {
  return {
    ...within(scope, window, [vitalNames]), ...summed(window), kinds: ['vital'], group_by: ['name'],
    measures: ['count', 'p50', 'p75', 'p95', 'good', 'needs_improvement', 'poor'],
  };
}

export function spread(scope: Scope, window: TimeWindow, name: VitalName): Query {
  return { ...one(scope, window, name), measures: ['histogram'] };
}

const ROUTES = 200;
const VITAL_COUNT = 5;

/** A row for each route and vital. */
export function routeVitals(scope: Scope, window: TimeWindow): Query {
  return {
    ...within(scope, window, [vitalNames]), kinds: ['vital'], group_by: ['route', 'name'], measures: ['p75', 'count', 'poor'],
    order_by: { column: 'count', descending: true }, limit: ROUTES * VITAL_COUNT,
  };
}

/** Which elements poor values name, by route; the most frequent first. */
export function poorTargets(scope: Scope, window: TimeWindow, name: VitalName): Query {
  return {
    ...within(scope, window, [is('name', name), is('rating', 'poor')]), kinds: ['vital'], group_by: ['route', 'target'], measures: ['count'],
    order_by: { column: 'count', descending: true }, limit: 1_000,
  };
}

export const BREAKDOWNS = ['device', 'browser', 'os', 'country', 'connection', 'attributes.navigation_type'] as const;
export type Breakdown = (typeof BREAKDOWNS)[number];
const GROUPS = 12;

export function breakdown(scope: Scope, window: TimeWindow, name: VitalName, field: Breakdown): Query {
  return {
    ...one(scope, window, name), group_by: [field], measures: ['count', 'p75', 'good', 'needs_improvement', 'poor'],
    order_by: { column: 'count', descending: true }, limit: GROUPS,
  };
}

export function loads(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window), kinds: ['navigation'], measures: ['count', 'p50', 'p75', 'p95'] };
}

/** So many loads say what is usual; all of them would be too many to fetch. */
const SAMPLE = 200;

/** The parts of a load are kept with each event only. */
export function latestLoads(scope: Scope, window: { from: number; to: number }): EventsQuery<'data'> {
  return { ...within(scope, window), kinds: ['navigation'], order: 'newest', limit: SAMPLE, fields: ['data'] };
}
