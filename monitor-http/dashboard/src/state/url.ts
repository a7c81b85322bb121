// What the address bar holds: page, project, range, filters. Everything is behind the `#`, so no server needs to rewrite
// anything, and a copied address shows the same view:
//
//   #/errors/9f2c61d0?project=shop&range=24h&release=1.4.0&attributes.plan=pro&q=undefined

import { VITAL_NAMES, type VitalName } from '../lib/bands.ts';
import { isPreset, type Range } from '../lib/range.ts';

export const PAGES = ['overview', 'performance', 'errors', 'requests', 'behaviour', 'sessions', 'live', 'events', 'system'] as const;
export type Page = (typeof PAGES)[number];

/** What the header filters by; it holds on every page. */
export const FILTER_FIELDS = ['route', 'release', 'environment', 'browser', 'os', 'device', 'country', 'connection'] as const;
export type FilterField = (typeof FILTER_FIELDS)[number];

/** What says something about some kinds of events only; it does not go along to another page. */
export const DETAIL_FIELDS = [
  'name', 'rating', 'fingerprint', 'message', 'failure', 'status', 'method', 'target', 'url', 'page', 'session', 'visitor', 'user', 'referrer', 'title',
  'language', 'browser_version', 'os_version', 'sdk',
] as const;
export type DetailField = (typeof DETAIL_FIELDS)[number];
export type CustomField = `attributes.${string}` | `tags.${string}`;
export type AnyField = FilterField | DetailField | CustomField;

/** Values by field: one of them must hold for each field that has any. */
export type Filters = Record<FilterField, string[]> & { [field in DetailField | CustomField]?: string[] };

export interface View {
  page: Page;
  /** The error group that is open, on the errors page. */
  fingerprint: string | null;
  /** The session that is open, on the sessions page. */
  session: string | null;
  /** Empty: the first one the reader may see. */
  project: string;
  range: Range;
  /** Whether figures are shown beside those of the period before. */
  compare: boolean;
  filters: Filters;
  /** Search text of the page. */
  search: string;
  /** Column that the list is ordered by; empty for the page's own order. A leading `-` is descending. */
  sort: string;
  /** Kinds shown on the live page and among the events; empty: all. */
  kinds: string[];
  /** The web vital that is looked at. */
  vital: VitalName;
  /** What else a page keeps in the address: `tab`, `status` … Goes with the page. */
  params: Readonly<Record<string, readonly string[]>>;
}

const DEFAULT_RANGE: Range = { preset: '24h' };
/** The contract takes up to 1,000 values; an address that long was not made here. */
const MAX_VALUES = 100;
const MAX_PARAMS = 20;

export const NO_FILTERS: Filters = { route: [], release: [], environment: [], browser: [], os: [], device: [], country: [], connection: [] };

const RESERVED = new Set(['project', 'range', 'from', 'to', 'compare', 'q', 'sort', 'kind', 'vital']);
const DETAILS: ReadonlySet<string> = new Set(DETAIL_FIELDS);
const HEADER: ReadonlySet<string> = new Set(FILTER_FIELDS);

export const isCustomField = (name: string): name is CustomField => /^(attributes|tags)\../.test(name);

export function isField(name: string): name is AnyField {
  return HEADER.has(name) || DETAILS.has(name) || isCustomField(name);
}

export function parseView(hash: string): View {
  const text = hash.replace(/^#/, '');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const params = new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1));
  const [name = '', detail = ''] = path.split('/').filter(Boolean);
  const page = (PAGES as readonly string[]).includes(name) ? (name as Page) : 'overview';
  const filters: Filters = { ...NO_FILTERS };
  const others: Record<string, string[]> = {};
  for (const key of new Set(params.keys())) {
    if (isField(key)) filters[key] = values(params, key);
    else if (!RESERVED.has(key) && Object.keys(others).length < MAX_PARAMS) others[key] = values(params, key);
  }
  return {
    page,
    fingerprint: page === 'errors' && detail ? decode(detail) : null,
    session: page === 'sessions' && detail ? decode(detail) : null,
    project: params.get('project') ?? '',
    range: parseRange(params),
    compare: params.get('compare') !== '0',
    filters,
    search: params.get('q') ?? '',
    sort: params.get('sort') ?? '',
    kinds: values(params, 'kind'),
    vital: VITAL_NAMES.find((vital) => vital === params.get('vital')) ?? 'LCP',
    params: others,
  };
}

export function formatView(view: View): string {
  const params = new URLSearchParams();
  if (view.project) params.set('project', view.project);
  if ('preset' in view.range) params.set('range', view.range.preset);
  else {
    params.set('from', String(view.range.from));
    params.set('to', String(view.range.to));
  }
  if (!view.compare) params.set('compare', '0');
  for (const field of filteredFields(view.filters)) for (const value of view.filters[field] ?? []) params.append(field, value);
  if (view.search) params.set('q', view.search);
  if (view.sort) params.set('sort', view.sort);
  for (const kind of view.kinds) params.append('kind', kind);
  if (view.vital !== 'LCP') params.set('vital', view.vital);
  for (const [name, list] of Object.entries(view.params)) for (const value of list) params.append(name, value);
  const detail = view.page === 'errors' ? view.fingerprint : view.page === 'sessions' ? view.session : null;
  return `#/${view.page}${detail === null ? '' : `/${encodeURIComponent(detail)}`}?${params}`;
}

/** The view of another page: range and the header's filters go along, what belongs to one page does not. */
export function viewOf(view: View, page: Page, change: Partial<View> = {}): View {
  return { ...view, page, fingerprint: null, session: null, search: '', sort: '', kinds: [], vital: 'LCP', params: {}, filters: commonFilters(view.filters), ...change };
}

/** The fields that are filtered by: the header's first, in its order. */
export function filteredFields(filters: Filters): AnyField[] {
  const fields = Object.keys(filters).filter((field): field is AnyField => isField(field) && (filters[field]?.length ?? 0) > 0);
  const place = (field: AnyField) => (FILTER_FIELDS as readonly string[]).indexOf(field) >>> 0;
  return fields.sort((a, b) => place(a) - place(b));
}

/** Without those of a single kind of event. */
export function commonFilters(filters: Filters): Filters {
  const common: Filters = { ...filters };
  for (const field of DETAIL_FIELDS) delete common[field];
  return common;
}

/** The filters with other values for one field; none of them lift the filter. */
export function withFilter(filters: Filters, field: AnyField, values: string[]): Filters {
  const changed: Filters = { ...filters, [field]: values };
  if (values.length === 0 && !HEADER.has(field)) delete changed[field];
  return changed;
}

/** The first value that a page keeps under a name of its own. */
export function paramOf(view: View, name: string, fallback = ''): string {
  return view.params[name]?.[0] ?? fallback;
}

/** The page's own values with another one; an empty one is left out of the address. */
export function withParam(view: View, name: string, value: string | readonly string[]): View['params'] {
  const values = typeof value === 'string' ? [value].filter(Boolean) : value;
  const { [name]: _, ...others } = view.params;
  return values.length > 0 ? { ...others, [name]: values } : others;
}

export function hasFilters(filters: Filters): boolean {
  return filteredFields(filters).length > 0;
}

function parseRange(params: URLSearchParams): Range {
  const preset = params.get('range');
  if (preset !== null && isPreset(preset)) return { preset };
  const from = Number(params.get('from') ?? Number.NaN);
  const to = Number(params.get('to') ?? Number.NaN);
  const valid = Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from < to && to <= 8.64e15;
  return valid ? { from, to } : DEFAULT_RANGE;
}

function values(params: URLSearchParams, name: string): string[] {
  return [...new Set(params.getAll(name))].slice(0, MAX_VALUES);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
