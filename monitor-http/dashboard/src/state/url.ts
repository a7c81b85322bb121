// What the address bar holds: page, project, range, filters. Everything is behind the `#`, so no server needs to rewrite
// anything, and a copied address shows the same view:
//
//   #/errors/9f2c61d0?project=shop&range=24h&release=1.4.0&q=undefined

import { VITAL_NAMES, type VitalName } from '../lib/bands.ts';
import { isPreset, type Range } from '../lib/range.ts';

export const PAGES = ['overview', 'errors', 'pages', 'live'] as const;
export type Page = (typeof PAGES)[number];

export const FILTER_FIELDS = ['release', 'environment', 'browser', 'route'] as const;
export type FilterField = (typeof FILTER_FIELDS)[number];
export type Filters = Record<FilterField, string[]>;

export interface View {
  page: Page;
  /** The error group that is open, on the errors page. */
  fingerprint: string | null;
  /** Empty: the first one the reader may see. */
  project: string;
  range: Range;
  filters: Filters;
  /** Search text of the errors page. */
  search: string;
  /** Column that the list is ordered by; empty for the page's own order. A leading `-` is descending. */
  sort: string;
  /** Kinds shown on the live page; empty: all. */
  kinds: string[];
  /** The web vital whose course the overview shows. */
  vital: VitalName;
}

const DEFAULT_RANGE: Range = { preset: '1h' };
/** The contract takes up to 1,000 values; an address that long was not made here. */
const MAX_VALUES = 100;

export const NO_FILTERS: Filters = { release: [], environment: [], browser: [], route: [] };

export function parseView(hash: string): View {
  const text = hash.replace(/^#/, '');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const params = new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1));
  const [name = '', detail = ''] = path.split('/').filter(Boolean);
  const page = (PAGES as readonly string[]).includes(name) ? (name as Page) : 'overview';
  return {
    page,
    fingerprint: page === 'errors' && detail ? decode(detail) : null,
    project: params.get('project') ?? '',
    range: parseRange(params),
    filters: {
      release: values(params, 'release'),
      environment: values(params, 'environment'),
      browser: values(params, 'browser'),
      route: values(params, 'route'),
    },
    search: params.get('q') ?? '',
    sort: params.get('sort') ?? '',
    kinds: values(params, 'kind'),
    vital: VITAL_NAMES.find((vital) => vital === params.get('vital')) ?? 'LCP',
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
  for (const field of FILTER_FIELDS) for (const value of view.filters[field]) params.append(field, value);
  if (view.search) params.set('q', view.search);
  if (view.sort) params.set('sort', view.sort);
  for (const kind of view.kinds) params.append('kind', kind);
  if (view.vital !== 'LCP') params.set('vital', view.vital);
  const detail = view.fingerprint === null ? '' : `/${encodeURIComponent(view.fingerprint)}`;
  return `#/${view.page}${detail}?${params}`;
}

/** The view of another page: range and filters go along, what belongs to one page does not. */
export function viewOf(view: View, page: Page, change: Partial<View> = {}): View {
  return { ...view, page, fingerprint: null, search: '', sort: '', kinds: [], vital: 'LCP', ...change };
}

export function hasFilters(filters: Filters): boolean {
  return FILTER_FIELDS.some((field) => filters[field].length > 0);
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
