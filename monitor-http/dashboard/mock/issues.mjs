// Issues over an array of events, and what was decided about them, as docs/query-api.md describes them.

import { QueryError, select } from './query.mjs';

const COLUMNS = ['fingerprint', 'kind', 'name', 'message', 'status', 'count', 'users', 'sessions', 'first_seen', 'last_seen', 'release_first', 'release_last', 'spark'];
const MEMBERS = ['project', 'from', 'to', 'filters', 'status', 'search', 'order', 'limit'];
const STATUSES = ['open', 'resolved', 'regressed', 'ignored'];
const ORDERS = { count: 'count', users: 'users', last_seen: 'last_seen', first_seen: 'first_seen' };
const SPARKS = 24;

/** `states` has what was decided: `{status, at}` by project and fingerprint. */
export function runIssues(events, query, states) {
  const start = performance.now();
  for (const key of Object.keys(query)) if (!MEMBERS.includes(key)) throw new QueryError(`unknown field "${key}"`);
  const { status = [], search = '', order = 'count', limit = 100, project, from, to } = query;
  if (!Object.hasOwn(ORDERS, order)) throw new QueryError(`unknown variant "${order}"`);
  if (limit < 1 || limit > 10_000) throw new QueryError('limit must be 1 to 10000');
  for (const wanted of status) if (!STATUSES.includes(wanted)) throw new QueryError(`unknown variant "${wanted}"`);
  const counted = select(events, { project, from, to, kinds: ['error', 'message'], filters: query.filters }).filter((event) => event.fingerprint);
  const groups = new Map();
  for (const event of counted) {
    const group = groups.get(event.fingerprint);
    if (group) group.push(event);
    else groups.set(event.fingerprint, [event]);
  }
  const all = new Map();
  for (const event of events) if (groups.has(event.fingerprint)) all.set(event.fingerprint, [...(all.get(event.fingerprint) ?? []), event]);
  const rows = [...groups].map(([fingerprint, own]) => issueOf(fingerprint, own, all.get(fingerprint), { project, from, to }, states));
  const text = search.toLowerCase();
  const chosen = rows.filter((row) => (status.length === 0 || status.includes(row.status)) && (text === '' || `${row.name} ${row.message}`.toLowerCase().includes(text)));
  chosen.sort((a, b) => b[ORDERS[order]] - a[ORDERS[order]] || (a.fingerprint < b.fingerprint ? -1 : 1));
  return {
    columns: COLUMNS, rows: chosen.slice(0, limit).map((row) => COLUMNS.map((column) => row[column])),
    stats: { elapsed_ms: Math.round((performance.now() - start) * 10) / 10, rows_read: counted.length, source: 'rollup', sample: 1, error: 0 },
  };
}

function issueOf(fingerprint, own, ever, { project, from, to }, states) {
  const weight = ({ weight: stands = 1 }) => stands;
  const spark = Array.from({ length: SPARKS }, () => 0);
  for (const event of own) spark[Math.min(SPARKS - 1, Math.floor(((event.time - from) / (to - from)) * SPARKS))] += weight(event);
  const [first, last] = [ever[0], ever.at(-1)];
  const decided = states.get(`${project} ${fingerprint}`);
  const status = decided?.status === 'resolved' && last.time > decided.at ? 'regressed' : (decided?.status ?? 'open');
  return {
    fingerprint, kind: last.kind, name: last.name, message: last.message, status, count: Math.round(own.reduce((sum, event) => sum + weight(event), 0)),
    users: new Set(own.map((event) => event.visitor || event.session)).size, sessions: new Set(own.map((event) => event.session)).size,
    first_seen: first.time, last_seen: last.time, release_first: first.release, release_last: last.release, spark,
  };
}

export function setIssue(states, body, at) {
  const { project, fingerprint, status, ...more } = body ?? {};
  if (Object.keys(more).length > 0) throw new QueryError(`unknown field "${Object.keys(more)[0]}"`);
  if (typeof fingerprint !== 'string' || fingerprint.length < 1 || fingerprint.length > 200) throw new QueryError('fingerprint must have 1 to 200 bytes');
  if (!['open', 'resolved', 'ignored'].includes(status)) throw new QueryError('an issue regresses by itself');
  states.set(`${project} ${fingerprint}`, { status, at });
}
