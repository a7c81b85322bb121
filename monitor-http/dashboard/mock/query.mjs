// The query language of docs/query-api.md over an array of events, strict about what it takes, so that a wrong question
// of the dashboard fails here as it would fail in the service.

const FIELDS = new Set(['kind', 'name', 'route', 'url', 'release', 'environment', 'browser', 'browser_version', 'os', 'os_version', 'referrer', 'title', 'sdk', 'device', 'country',
  'connection', 'language', 'session', 'visitor', 'user', 'page', 'fingerprint', 'message', 'status', 'method', 'target', 'failure', 'rating', 'id']);
const CUSTOM = /^(attributes|tags)\.(.{1,200})$/;
const THRESHOLDS = { LCP: [2500, 4000], FCP: [1800, 3000], TTFB: [800, 1800], INP: [200, 500], CLS: [0.1, 0.25] };

export class QueryError extends Error {
  constructor(message, status = 400, code = 'bad_query') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const bad = (message) => { throw new QueryError(message); };

const isField = (field) => typeof field === 'string' && (FIELDS.has(field) || CUSTOM.test(field));

/** The value of a field as text; what an event does not have is empty. */
export function fieldOf(event, field) {
  const [, place, name] = CUSTOM.exec(field) ?? [];
  return String((place ? event[place][name] : event[field]) ?? '');
}

export function known(document, names) {
  if (typeof document !== 'object' || document === null) bad('not an object');
  for (const key of Object.keys(document)) if (!names.includes(key)) bad(`unknown member "${key}"`);
  for (const key of ['from', 'to']) if (!Number.isInteger(document[key])) bad(`${key} must be whole milliseconds`);
  if (document.from >= document.to) bad('empty range');
  if (document.to - document.from > 400 * 86_400_000) bad('the range is longer than 400 days');
}

export function select(events, query) {
  if ((query.filters ?? []).length > 20) bad('at most 20 filters');
  const tests = [];
  if (query.kinds?.length) tests.push((event) => query.kinds.includes(event.kind));
  for (const { field, op, values } of query.filters ?? []) {
    if (!isField(field)) bad(`unknown field "${field}"`);
    if (!Array.isArray(values) || values.length < 1 || values.length > 1000 || values.some((value) => typeof value !== 'string')) bad('values must be 1 to 1,000 texts');
    const read = (event) => fieldOf(event, field);
    if (op === 'in') tests.push((event) => values.includes(read(event)));
    else if (op === 'not_in') tests.push((event) => !values.includes(read(event)));
    else if (op === 'contains') {
      if (values.length !== 1) bad('contains takes one value');
      tests.push((event) => read(event).toLowerCase().includes(values[0].toLowerCase()));
    } else bad(`unknown op "${op}"`);
  }
  return between(events, query.from, query.to).filter((event) => tests.every((test) => test(event)));
}

/** Events are sorted by time. */
function between(events, from, to) {
  const first = (time) => {
    let [low, high] = [0, events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (events[middle].time < time) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return events.slice(first(from), first(to));
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

const share = (part, all) => (all ? part / all : null);
const shareOf = (events, band) => share(MEASURES[band](events), ['good', 'needs_improvement', 'poor'].reduce((sum, name) => sum + MEASURES[name](events), 0));

/** The buckets of the service's rollups: twelve for each doubling. */
const bucketOf = (value) => (value === 0 ? 0 : Math.sign(value) * (13000 + Math.floor(Math.log2(Math.abs(value)) * 12)));

function histogram(events) {
  const bins = new Map();
  for (const { value, weight = 1 } of events) if (value !== null) bins.set(bucketOf(value), (bins.get(bucketOf(value)) ?? 0) + weight);
  const edge = (bucket) => 2 ** ((Math.abs(bucket) - 13000) / 12);
  return [...bins].sort(([a], [b]) => a - b).map(([bucket, count]) => (bucket === 0 ? [0, 0, count] : bucket > 0 ? [edge(bucket), edge(bucket + 1), count] : [-edge(bucket - 1), -edge(bucket), count]));
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
  histogram,
  failures: (events) => weightOf(events.filter((event) => event.failure)),
  good: (events) => rated(events, (value, good) => value <= good),
  needs_improvement: (events) => rated(events, (value, good, poor) => value > good && value <= poor),
  poor: (events) => rated(events, (value, good, poor) => value > poor),
  failure_rate: (events) => share(weightOf(events.filter((event) => event.failure)), weightOf(events)),
  good_share: (events) => shareOf(events, 'good'),
  needs_improvement_share: (events) => shareOf(events, 'needs_improvement'),
  poor_share: (events) => shareOf(events, 'poor'),
  first_seen: (events) => (events.length ? Math.min(...events.map((event) => event.time)) : null),
  last_seen: (events) => (events.length ? Math.max(...events.map((event) => event.time)) : null),
  any_name: (events) => (events.length ? latest(events).name : null),
  any_message: (events) => (events.length ? latest(events).message : null),
  any_target: (events) => (events.length ? latest(events).target : null),
};

function measureOf(name, minutes) {
  if (Object.hasOwn(MEASURES, name)) return MEASURES[name];
  if (name === 'rate') return (events) => weightOf(events) / minutes;
  if (name.startsWith('count:')) return (events) => weightOf(events.filter((event) => event.kind === name.slice(6)));
  const target = name.startsWith('apdex:') ? Number(name.slice(6)) : Number.NaN;
  if (!(target > 0)) return bad(`unknown measure "${name}"`);
  return (events) => {
    const rated = events.filter(({ value }) => value !== null);
    return share(rated.reduce((sum, { value }) => sum + (value <= target ? 1 : value <= 4 * target ? 0.5 : 0), 0), rated.length);
  };
}

const compare = (a, b) => (a === b ? 0 : a === null ? -1 : b === null || a > b ? 1 : -1);

export function runQuery(events, query) {
  const start = performance.now();
  known(query, ['project', 'from', 'to', 'kinds', 'filters', 'group_by', 'step', 'zone_offset', 'measures', 'order_by', 'limit', 'top', 'totals', 'compare', 'exact', 'facets']);
  const { group_by: groups = [], step, zone_offset: zone = 0, measures, limit = 1000, top = null } = query;
  if (step !== undefined && (!Number.isInteger(step) || step < 1000)) bad('step must be at least 1000 ms');
  if (step && (query.to - query.from) / step > 2000) bad('too many steps');
  if (!Number.isInteger(zone) || Math.abs(zone) > 14 * 3_600_000) bad('zone_offset must be at most 14 hours');
  if (!Array.isArray(measures) || measures.length === 0 || measures.length > 40) bad('no measures');
  if (limit < 1 || limit > 10_000) bad('limit is 1 to 10,000');
  const most = query.facets ? 10 : 5;
  if (groups.length > most) bad(`group_by takes at most ${most} fields`);
  if (query.facets && (groups.length === 0 || step || top || query.compare)) bad('facets need group_by, and nothing beside it');
  for (const field of groups) if (!isField(field) || field === 'id') bad(`unknown field "${field}"`);
  const columns = [...(step ? ['time'] : []), ...groups, ...measures];
  if (new Set(columns).size !== columns.length) bad('a column is asked for twice');
  if (query.order_by) {
    known({ from: 0, to: 1, ...query.order_by }, ['from', 'to', 'column', 'descending']);
    if (!columns.includes(query.order_by.column)) bad(`unknown column "${query.order_by.column}"`);
  }
  if (top) {
    if (groups.length === 0) bad('top needs group_by');
    if (!measures.includes(top.by)) bad(`top names ${top.by}, which is not a measure of the question`);
    if (!(top.n >= 1 && top.n <= 100)) bad('top takes 1 to 100 groups');
  }
  if (query.totals && !step) bad('totals need a step');
  const length = query.to - query.from;
  if (query.compare && query.from < length) bad('there is no period before 1970 to compare with');
  const table = tableOf(select(events, query), query, columns);
  const earlier = query.compare ? select(events, { ...query, from: query.from - length, to: query.from }).map((event) => ({ ...event, time: event.time + length })) : null;
  const before = earlier && tableOf(earlier, query, columns);
  const whole = (of) => tableOf(of, { ...query, step: undefined }, columns.slice(1)).rows.map((row) => [null, ...row]);
  const rows = (before?.read ?? 0) + table.read;
  return {
    columns, rows: table.rows, ...(query.totals && { totals: whole(select(events, query)) }),
    ...(before && { previous: before.rows }), ...(before && query.totals && { previous_totals: whole(earlier) }),
    stats: { elapsed_ms: Math.round((performance.now() - start) * 10) / 10, rows_read: rows, source: measures.includes('histogram') || !step ? 'events' : 'rollup', sample: 1, error: step && measures.some((name) => /^p\d/.test(name)) ? 0.029 : 0 },
  };
}

function tableOf(chosen, query, columns) {
  if (query.facets) return facetsOf(chosen, query, columns);
  const { group_by: groups = [], step, zone_offset: zone = 0, measures, limit = 1000, top = null } = query;
  const minutes = (step ?? query.to - query.from) / 60_000;
  const compute = measures.map((name) => measureOf(name, minutes));
  const headOf = (event) => groups.map((field) => (field === 'status' ? event.status : fieldOf(event, field)));
  let keep = () => true;
  if (top) {
    const totals = new Map();
    for (const event of chosen) {
      const key = JSON.stringify(headOf(event));
      totals.set(key, [...(totals.get(key) ?? []), event]);
    }
    const by = measureOf(top.by, minutes);
    const kept = new Set([...totals].map(([key, list]) => [key, by(list)]).sort((a, b) => compare(b[1], a[1])).slice(0, top.n).map(([key]) => key));
    keep = (key) => kept.has(key);
  }
  const buckets = new Map();
  // Without a step and groups there is one row, also over nothing.
  if (!step && groups.length === 0) buckets.set('[]', { head: [], events: [] });
  for (const event of chosen) {
    let group = headOf(event);
    if (!keep(JSON.stringify(group))) {
      if (!top.others) continue;
      group = groups.map(() => null);
    }
    const head = [...(step ? [Math.floor((event.time + zone) / step) * step - zone] : []), ...group];
    const key = JSON.stringify(head);
    const bucket = buckets.get(key);
    if (bucket) bucket.events.push(event);
    else buckets.set(key, { head, events: [event] });
  }
  const rows = [...buckets.values()].map((bucket) => [...bucket.head, ...compute.map((measure) => measure(bucket.events))]);
  if (query.order_by) {
    const at = columns.indexOf(query.order_by.column);
    rows.sort((a, b) => compare(a[at], b[at]) * (query.order_by.descending ? -1 : 1));
  } else {
    rows.sort((a, b) => { for (let i = 0; i < columns.length - measures.length; i++) { const order = compare(a[i], b[i]); if (order) return order; } return 0; });
  }
  return { rows: rows.slice(0, limit), read: chosen.length };
}

function facetsOf(chosen, query, columns) {
  const { group_by: groups, measures } = query;
  const rows = groups.flatMap((field, n) => {
    const alone = tableOf(chosen, { ...query, facets: false, group_by: [field] }, [field, ...measures]);
    return alone.rows.map(([value, ...figures]) => [...groups.map((_, at) => (at === n ? value : null)), ...figures]);
  });
  return { rows, read: chosen.length };
}

export function runEvents(events, query) {
  known(query, ['project', 'from', 'to', 'kinds', 'filters', 'order', 'limit', 'cursor', 'fields']);
  const { order = 'newest', limit = 100, cursor = null, fields = [] } = query;
  if (order !== 'newest' && order !== 'oldest') bad(`unknown order "${order}"`);
  if (limit < 1 || limit > 10_000) bad('limit is 1 to 10,000');
  const chosen = select(events, query);
  if (order === 'newest') chosen.reverse();
  const start = cursor === null ? 0 : chosen.findIndex((event) => `${event.time}_${event.id}` === cursor) + 1;
  const page = chosen.slice(start, start + limit);
  const shown = (event) => (fields.length ? Object.fromEntries(['id', 'time', ...fields].map((field) => [field, event[field]])) : event);
  return { events: page.map(shown), next: start + limit < chosen.length ? `${page.at(-1).time}_${page.at(-1).id}` : null, stats: { elapsed_ms: 1, rows_read: page.length, source: 'events', sample: 1, error: 0 } };
}

/** Every event that the question is about, as lines of JSON or as CSV. */
export function runExport(events, query, csv) {
  const { limit = 1_000_000, ...rest } = query;
  if (limit < 1 || limit > 1_000_000) bad('limit is 1 to 1,000,000');
  const chosen = runEvents(events, { ...rest, limit: 10_000 }).events.slice(0, limit);
  if (!csv) return chosen.map((event) => `${JSON.stringify(event)}\n`).join('') + `{"end":{"events":${chosen.length},"next":null}}\n`;
  const columns = Object.keys(chosen[0] ?? { id: '' }).filter((name) => typeof chosen[0]?.[name] !== 'object');
  const cell = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ''));
  return [columns, ...chosen.map((event) => columns.map((name) => event[name]))].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}
