import { earlier, type TimeWindow } from '../../lib/range.ts';
import type { Query } from '../types.ts';
import { before, compared, stepped, summed, vitalNames, within, type Scope } from './common.ts';

const TRAFFIC = ['page_view', 'error', 'request'];

/** Counts add up, so that the totals of the range are the sums of its steps. */
export function traffic(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window), ...stepped(window), kinds: TRAFFIC, measures: ['count:page_view', 'count:error', 'count:request', 'failures'] };
}

/** The same of the steps before. */
export function trafficBefore(scope: Scope, window: TimeWindow): Query | null {
  const steps = scope.compare ? earlier(window) : null;
  return steps && traffic(scope, steps);
}

/** Visitors and sessions do not: who comes in two steps is one visitor of the range. */
export function people(scope: Scope, window: TimeWindow): Query {
  return compared(scope, { ...within(scope, window), measures: ['visitors', 'sessions'] });
}

export function peopleCourse(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window), ...stepped(window), measures: ['visitors', 'sessions'] };
}

export function vitals(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window, [vitalNames]), ...summed(window), kinds: ['vital'], group_by: ['name'], measures: ['count', 'p75', 'good', 'needs_improvement', 'poor'] };
}

export function vitalsBefore(scope: Scope, window: TimeWindow): Query | null {
  return before(scope, window, (own, span) => ({ ...within(own, span, [vitalNames]), kinds: ['vital'], group_by: ['name'], measures: ['p75'] }));
}
