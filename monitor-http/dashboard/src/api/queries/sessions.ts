// What the sessions pages ask: the list is one question; a session is its row and then, page by page, its events.

import { MOMENT_FIELDS, type MomentEvent } from '../../lib/timeline.ts';
import type { EventField, EventPart, EventsQuery, Filter, SessionQuery } from '../types.ts';
import { is, isNot, within, type Scope } from './common.ts';

export const SESSION_ROWS = 50;
export type SessionOrder = NonNullable<SessionQuery['order']>;
export const SESSION_ORDERS: readonly SessionOrder[] = ['newest', 'errors', 'longest'];
/** Events of a session that are read at once. */
export const SESSION_EVENTS = 1_000;
/** The service passes over at most so many. */
export const MAX_OFFSET = 10_000;

const DAY = 86_400_000;

/** What a session must have had: one of its events meets these filters. */
export const SESSION_MARKS = {
  errors: [is('kind', 'error')],
  rage: [is('kind', 'rage_click', 'dead_click')],
  failures: [is('kind', 'request'), isNot('failure', '')],
} as const satisfies Record<string, readonly Filter[]>;
export type SessionMark = keyof typeof SESSION_MARKS;

export interface SessionList {
  order: SessionOrder;
  /** Any session when `null`. */
  mark: SessionMark | null;
  offset: number;
}

/** One more than is shown: whether there is a next page. */
export function sessionList(scope: Scope, window: { from: number; to: number }, { order, mark, offset }: SessionList): SessionQuery {
  return { ...within(scope, window, mark ? [...SESSION_MARKS[mark]] : []), order, limit: SESSION_ROWS + 1, offset };
}

/** A session that touches the range is looked at as a whole: it may have begun a day earlier and end a day later. */
export function sessionSpan(window: { from: number; to: number }): { from: number; to: number } {
  return { from: Math.max(0, window.from - DAY), to: window.to + DAY };
}

/** Without the filters of the header: what they hide belongs to the session all the same. */
export function sessionRow(project: string, span: { from: number; to: number }, session: string): SessionQuery {
  return { project, ...span, filters: [is('session', session)], limit: 1 };
}

/** For the timeline, and what the head says about the first event. A session lies in many places of the table, so every field costs. */
const SESSION_FIELDS = [...MOMENT_FIELDS, 'browser_version', 'os_version', 'screen', 'language', 'connection', 'environment'] as const satisfies readonly EventField[];
type SessionField = (typeof SESSION_FIELDS)[number];
export type SessionEvent = EventPart<SessionField>;

export function sessionEvents(project: string, span: { from: number; to: number }, session: string, cursor: string | null): EventsQuery<SessionField> {
  return { project, ...span, filters: [is('session', session)], order: 'oldest', limit: SESSION_EVENTS, cursor, fields: SESSION_FIELDS };
}

/** All of an event of a timeline. */
export function wholeEvent(project: string, { id, time, kind }: MomentEvent): EventsQuery {
  return { project, from: time, to: time + 1, kinds: [kind], filters: [is('id', id)], limit: 1 };
}
