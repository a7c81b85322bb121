// The query language of docs/query-api.md over an array of events, strict about what it takes, so that a wrong question
// of the dashboard fails here as it would fail in the service.

const FIELDS = new Set(['kind', 'name', 'route', 'url', 'release', 'environment', 'browser', 'browser_version', 'os', 'device', 'country', 'connection', 'language',
  'session', 'visitor', 'user', 'page', 'fingerprint', 'message', 'status', 'method', 'target', 'failure', 'rating', 'id']);
const THRESHOLDS = { LCP: [2500, 4000], FCP: [1800, 3000], TTFB: [800, 1800], INP: [200, 500], CLS: [0.1, 0.25] };

export class QueryError extends Error {
  constructor(message, status = 400, code = 'bad_query') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const bad = (message) => { throw new QueryError(message); };

function known(document, names) {
  if (typeof document !== 'object' || document === null) bad('not an object');
  for (const key of Object.keys(document)) if (!names.includes(key)) bad(`unknown member "${key}"`);
  for (const key of ['from', 'to']) if (!Number.isInteger(document[key])) bad(`${key} must be whole milliseconds`);
  if (document.from >= document.to) bad('empty range');
  if (document.to - document.from > 400 * 86_400_000) bad('the range is longer than 400 days');
}

function select(events, query) {
  const tests = [(event) => event.time >= query.from && event.time < query.to];
  if (query.kinds?.length) tests.push((event) => query.kinds.includes(event.kind));
  for (const { field, op, values } of query.filters ?? []) {
    if (!FIELDS.has(field) && !field.startsWith('attributes.')) bad(`unknown field "${field}"`);
    if (!Array.isArray(values) || values.length < 1 || values.length > 1000 || values.some((value) => typeof value !== 'string')) bad('values must be 1 to 1,000 texts');
    const read = (event) => String((field.startsWith('attributes.') ? event.attributes[field.slice(11)] : event[field]) ?? '');
    if (op === 'in') tests.push((event) => values.includes(read(event)));
    else if (op === 'not_in') tests.push((event) => !values.includes(read(event)));
    else if (op === 'contains') {
      if (values.length !== 1) bad('contains takes one value');
      tests.push((event) => read(event).toLowerCase().includes(values[0].toLowerCase()));
    } else bad(`unknown op "${op}"`);
  }
  return events.filter((event) => tests.every((test) => test(event)));
}

const distinct = (events, field) => new Set(events.map((event) => event[field]).filter(Boolean)).size;
/** Every event counts as often as its weight says. */
const weightOf = (events) => Math.round(events.reduce((sum, { weight = 1 }) => sum + weight, 0));
const numbers = (events) => events.map((event) => event.value).filter((value) => value !== null);
const latest = (events) => events.reduce((best, event) => (event.time >= best.time ? event : best));

function quantile(events, share) {
  const sorted = numbers(events).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at % 1);
}

function rated(events, test) {
  return weightOf(events.filter(({ name, value }) => THRESHOLDS[name] && value !== null && test(value, ...THRESHOLDS[name])));
}

const MEASURES = {
  count: weightOf,
  visitors: (events) => distinct(events, 'visitor'),
  sessions: (events) => distinct(events, 'session'),
  pages: (events) => distinct(events, 'page'),
  sum: (events) => (numbers(events).length ? numbers(events).reduce((a, b) => a + b) : null),
  avg: (events) => (numbers(events).length ? numbers(events).reduce((a, b) => a + b) / numbers(events).length : null),
  min: (events) => (numbers(events).length ? Math.min(...numbers(events)) : null),
  max: (events) => (numbers(events).length ? Math.max(...numbers(events)) : null),
  p50: (events) => quantile(events, 0.5), p75: (events) => quantile(events, 0.75), p90: (events) => quantile(events, 0.9),
  p95: (events) => quantile(events, 0.95), p99: (events) => quantile(events, 0.99),
  failures: (events) => weightOf(events.filter((event) => event.failure)),
  good: (events) => rated(events, (value, good) => value <= good),
  needs_improvement: (events) => rated(events, (value, good, poor) => value > good && value <= poor),
  poor: (events) => rated(events, (value, good, poor) => value > poor),
  first_seen: (events) => (events.length ? Math.min(...events.map((event) => event.time)) : null),
  last_seen: (events) => (events.length ? Math.max(...events.map((event) => event.time)) : null),
  any_name: (events) => (events.length ? latest(events).name : null),
  any_message: (events) => (events.length ? latest(events).message : null),
  any_target: (events) => (events.length ? latest(events).target : null),
};

function measureOf(name) {
  if (Object.hasOwn(MEASURES, name)) return MEASURES[name];
  if (name.startsWith('count:')) return (events) => weightOf(events.filter((event) => event.kind === name.slice(6)));
  return bad(`unknown measure "${name}"`);
}

export function runQuery(events, query) {
  const start = performance.now();
  known(query, ['project', 'from', 'to', 'kinds', 'filters', 'group_by', 'step', 'measures', 'order_by', 'limit']);
  const { group_by: groups = [], step, measures, limit = 1000 } = query;
  if (step && (query.to - query.from) / step > 2000) bad('too many steps');
  if (!Array.isArray(measures) || measures.length === 0) bad('no measures');
  if (limit < 1 || limit > 10_000) bad('limit is 1 to 10,000');
  for (const field of groups) if (!FIELDS.has(field)) bad(`unknown field "${field}"`);
  const columns = [...(step ? ['time'] : []), ...groups, ...measures];
  const compute = measures.map(measureOf);
  const chosen = select(events, query);
  const buckets = new Map();
  // Without a step and groups there is one row, also over nothing.
  if (!step && groups.length === 0) buckets.set('[]', { head: [], events: [] });
  for (const event of chosen) {
    const head = [...(step ? [Math.floor(event.time / step) * step] : []), ...groups.map((field) => event[field])];
    const key = JSON.stringify(head);
    const bucket = buckets.get(key);
    if (bucket) bucket.events.push(event);
    else buckets.set(key, { head, events: [event] });
  }
  const rows = [...buckets.values()].map((bucket) => [...bucket.head, ...compute.map((measure) => measure(bucket.events))]);
  const compare = (a, b) => (a === b ? 0 : a === null ? -1 : b === null || a > b ? 1 : -1);
  if (query.order_by) {
    const at = columns.indexOf(query.order_by.column);
    if (at < 0) bad(`unknown column "${query.order_by.column}"`);
    rows.sort((a, b) => compare(a[at], b[at]) * (query.order_by.descending ? -1 : 1));
  } else {
    rows.sort((a, b) => { for (let i = 0; i < columns.length - measures.length; i++) { const order = compare(a[i], b[i]); if (order) return order; } return 0; });
  }
  return { columns, rows: rows.slice(0, limit), stats: { elapsed_ms: Math.round((performance.now() - start) * 10) / 10, rows_read: chosen.length } };
}

export function runEvents(events, query) {
  known(query, ['project', 'from', 'to', 'kinds', 'filters', 'order', 'limit', 'cursor']);
  const { order = 'newest', limit = 100, cursor = null } = query;
  if (order !== 'newest' && order !== 'oldest') bad(`unknown order "${order}"`);
  if (limit < 1 || limit > 10_000) bad('limit is 1 to 10,000');
  const chosen = select(events, query);
  if (order === 'newest') chosen.reverse();
  const start = cursor === null ? 0 : chosen.findIndex((event) => event.id === cursor) + 1;
  const page = chosen.slice(start, start + limit);
  return { events: page, next: start + limit < chosen.length ? page.at(-1).id : null, stats: { elapsed_ms: 1, rows_read: page.length } };
}
