// What the errors pages ask, beside the releases of the time. The list is two questions; the page of an issue asks for its row, its course,
// its facets, a page of its events and the latest of its sessions.

import type { TimeWindow } from '../../lib/range.ts';
import type { EventsQuery, IssueQuery, IssueStatus, Query, SessionQuery } from '../types.ts';
import { is, stepped, within, type Scope } from './common.ts';

/** What has a fingerprint. */
export const ISSUE_KINDS = ['error', 'message'];
export const ISSUE_ROWS = 100;
export const ISSUE_STATUSES: readonly IssueStatus[] = ['open', 'regressed', 'resolved', 'ignored'];
export type IssueOrder = NonNullable<IssueQuery['order']>;
export const ISSUE_ORDERS: readonly IssueOrder[] = ['count', 'users', 'last_seen', 'first_seen'];
export const ISSUE_EVENTS = 20;
export const ISSUE_SESSIONS = 6;

export interface IssueList {
  /** All when empty. */
  status: readonly IssueStatus[];
  search: string;
  order: IssueOrder;
}

export function issueList(scope: Scope, window: TimeWindow, { status, search, order }: IssueList): IssueQuery {
  return { ...within(scope, window), status: [...status], search, order, limit: ISSUE_ROWS };
}

/** The course of everything that the list counts, errors and messages apart. */
export function issueCourse(scope: Scope, window: TimeWindow): Query {
  return { ...within(scope, window), ...stepped(window), kinds: ISSUE_KINDS, measures: ISSUE_KINDS.map((kind) => `count:${kind}`) };
}

/** The row of one issue. */
export function issueRow(scope: Scope, window: TimeWindow, fingerprint: string): IssueQuery {
  return { ...within(scope, window, [is('fingerprint', fingerprint)]), limit: 1 };
}

export function issueTrend(scope: Scope, window: TimeWindow, fingerprint: string): Query {
  return { ...within(scope, window, [is('fingerprint', fingerprint)]), ...stepped(window), kinds: ISSUE_KINDS, measures: ['count'] };
}

export const FACETS = ['browser', 'os', 'device', 'route', 'release', 'country'] as const;
/** More values of a facet are not read; the rest is known as a sum. */
export const FACET_VALUES = 100;

export function issueFacets(scope: Scope, window: TimeWindow, fingerprint: string, fields: readonly string[]): Query {
  return {
    ...within(scope, window, [is('fingerprint', fingerprint)]), kinds: ISSUE_KINDS, group_by: [...fields], facets: true, measures: ['count'],
    order_by: { column: 'count', descending: true }, limit: FACET_VALUES,
  };
}

export function issueEvents(scope: Scope, window: { from: number; to: number }, fingerprint: string, cursor: string | null): EventsQuery {
  return { ...within(scope, window, [is('fingerprint', fingerprint)]), kinds: ISSUE_KINDS, order: 'newest', limit: ISSUE_EVENTS, cursor };
}

export function issueSessions(scope: Scope, window: { from: number; to: number }, fingerprint: string): SessionQuery {
  return { ...within(scope, window, [is('fingerprint', fingerprint)]), order: 'newest', limit: ISSUE_SESSIONS };
}
