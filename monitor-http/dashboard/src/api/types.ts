// The documents of docs/query-api.md.

export type Cell = string | number | null;

export interface Filter {
  field: string;
  op: 'in' | 'not_in' | 'contains';
  values: string[];
}

export interface Query {
  project: string;
  from: number;
  to: number;
  kinds?: string[];
  filters?: Filter[];
  group_by?: string[];
  step?: number;
  measures: string[];
  order_by?: { column: string; descending: boolean };
  limit?: number;
}

export interface EventsQuery {
  project: string;
  from: number;
  to: number;
  kinds?: string[];
  filters?: Filter[];
  order: 'newest' | 'oldest';
  limit: number;
  cursor: string | null;
}

export interface Table {
  columns: string[];
  rows: Cell[][];
}

export interface Project {
  id: string;
  name: string;
  dsn: string;
  key: string;
}

/** One event; only what the dashboard names. Every other member is shown as it came. */
export interface EventDocument {
  id: string;
  time: number;
  kind: string;
  name: string;
  value: number | null;
  /** How many events it stands for; absent when that is 1. */
  weight?: number;
  release: string;
  environment: string;
  page: string;
  url: string;
  route: string;
  referrer: string;
  title: string;
  session: string;
  visitor: string;
  user: string;
  browser: string;
  browser_version: string;
  os: string;
  os_version: string;
  device: string;
  screen: string;
  viewport: string;
  language: string;
  connection: string;
  timezone: string;
  country: string;
  fingerprint: string;
  message: string;
  status: number;
  method: string;
  target: string;
  failure: string;
  rating: string;
  tags: Record<string, unknown>;
  attributes: Record<string, unknown>;
  data: unknown;
  /** Of errors, and not in the live stream. */
  exceptions?: Exception[];
}

export interface Exception {
  role: 'error' | 'cause' | 'inner';
  name: string;
  message: string;
  /** Innermost call first. */
  frames: Frame[];
}

export interface Frame {
  /** Empty for anonymous functions. */
  function: string;
  /** Empty for code of the browser itself. */
  file: string;
  /** 0 when unknown, and for WebAssembly. */
  line: number;
  column: number;
  in_app: boolean;
  async?: boolean;
  eval?: boolean;
}

export interface EventPage {
  events: EventDocument[];
  next: string | null;
}
