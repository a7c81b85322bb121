// Lists of sessions over an array of events, as docs/query-api.md describes them.

import { QueryError, select } from './query.mjs';

const COLUMNS = ['session', 'visitor', 'user', 'start', 'end', 'events', 'views', 'errors', 'clicks', 'rage_clicks', 'failures', 'entry', 'exit', 'browser', 'os', 'device', 'country', 'release'];
const MEMBERS = ['project', 'from', 'to', 'filters', 'order', 'limit', 'offset'];
const ORDERS = {
  newest: (a, b) => b.end - a.end,
  errors: (a, b) => b.errors - a.errors || b.end - a.end,
  longest: (a, b) => b.end - b.start - (a.end - a.start) || b.end - a.end,
};

export function runSessions(events, query) {
  const start = performance.now();
  for (const key of Object.keys(query)) if (!MEMBERS.includes(key)) throw new QueryError(`unknown field "${key}"`);
  const { order = 'newest', limit = 100, offset = 0 } = query;
  if (!Object.hasOwn(ORDERS, order)) throw new QueryError(`unknown variant "${order}"`);
  if (limit < 1 || limit > 10_000) throw new QueryError('limit must be 1 to 10000');
  if (offset < 0 || offset > 10_000) throw new QueryError('offset must be at most 10000');
  const { project, from, to } = query;
  const listed = new Set(select(events, { project, from, to, filters: query.filters }).map((event) => event.session).filter(Boolean));
  const sessions = new Map();
  for (const event of events) {
    if (event.time < from || event.time >= to || !listed.has(event.session)) continue;
    const own = sessions.get(event.session);
    if (own) own.push(event);
    else sessions.set(event.session, [event]);
  }
  const rows = [...sessions].map(([session, own]) => summaryOf(session, own)).sort(ORDERS[order]);
  return {
    columns: COLUMNS, rows: rows.slice(offset, offset + limit).map((row) => COLUMNS.map((column) => row[column])),
    stats: { elapsed_ms: Math.round((performance.now() - start) * 10) / 10, rows_read: events.length, source: 'events', sample: 1, error: 0 },
  };
}

function summaryOf(session, own) {
  const weight = (chosen) => Math.round(chosen.reduce((sum, event) => sum + (event.weight ?? 1), 0));
  const of = (kind) => weight(own.filter((event) => event.kind === kind));
  const [first, last] = [own[0], own.at(-1)];
  const views = own.filter((event) => event.kind === 'page_view');
  return {
    session, visitor: first.visitor, user: own.find((event) => event.user)?.user ?? '', start: first.time, end: last.time, events: weight(own),
    views: of('page_view'), errors: of('error'), clicks: of('click'), rage_clicks: of('rage_click'), failures: weight(own.filter((event) => event.failure)),
    entry: (views[0] ?? first).route, exit: (views.at(-1) ?? last).route, browser: first.browser, os: first.os, device: first.device, country: first.country, release: last.release,
  };
}
