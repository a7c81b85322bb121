// The documents of docs/query-api.md.

/** Arrays are cells too: `histogram` and `spark`. */
export type Cell = string | number | null | Cell[];

export interface Filter {
  field: string;
  op: 'in' | 'not_in' | 'contains';
  values: string[];
}

/** What every question says: which events. Times are ms since the epoch, `to` exclusive. */
export interface Scoped {
  project: string;
  from: number;
  to: number;
  filters?: Filter[];
}

export interface Query extends Scoped {
  kinds?: string[];
  group_by?: string[];
  step?: number;
  zone_offset?: number;
  measures: string[];
  order_by?: { column: string; descending: boolean };
  limit?: number;
  top?: { n: number; by: string; others?: boolean };
  totals?: boolean;
  /** Each of `group_by` on its own: in a row all others are null. */
  facets?: boolean;
  compare?: boolean;
  sampling?: 'auto' | 'never';
  exact?: boolean;
}

export interface EventsQuery<F extends EventField = EventField> extends Scoped {
  kinds?: string[];
  order?: 'newest' | 'oldest';
  limit?: number;
  cursor?: string | null;
  /** Only these of each event, beside its id and time; all when absent. The service reads no others. */
  fields?: readonly F[];
}

export interface FunnelStep {
  label: string;
  kinds?: string[];
  filters?: Filter[];
}

export interface FunnelQuery extends Scoped {
  steps: FunnelStep[];
  within?: number;
  by?: 'visitor' | 'session';
  exact?: boolean;
}

export interface Happening {
  kinds?: string[];
  filters?: Filter[];
}

export interface RetentionQuery extends Scoped {
  period?: 'day' | 'week';
  first?: Happening;
  again?: Happening;
  exact?: boolean;
}

export interface PathQuery extends Scoped {
  start?: string;
  depth?: number;
  limit?: number;
  exact?: boolean;
}

export interface SessionQuery extends Scoped {
  order?: 'newest' | 'errors' | 'longest';
  limit?: number;
  offset?: number;
}

export type IssueStatus = 'open' | 'resolved' | 'regressed' | 'ignored';

export interface IssueQuery extends Scoped {
  status?: IssueStatus[];
  search?: string;
  order?: 'count' | 'users' | 'last_seen' | 'first_seen';
  limit?: number;
}

export interface IssueState {
  project: string;
  fingerprint: string;
  status: Exclude<IssueStatus, 'regressed'>;
}

/** What an answer cost, and how far it can be trusted. */
export interface Stats {
  elapsed_ms: number;
  rows_read: number;
  /** Absent from services that have no rollups. */
  source?: 'events' | 'rollup';
  /** Share of the visitors whose events were read, 0 to 1. */
  sample?: number;
  /** Largest relative error to expect, 0 is exact. */
  error?: number;
}

export interface Table {
  columns: string[];
  rows: Cell[][];
  /** With `compare`: the period before, its times moved forward by the length of the range. */
  previous?: Cell[][];
  /** With `totals`: the whole range, its times null. */
  totals?: Cell[][];
  stats: Stats;
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
  /** Number of the event on its page. */
  seq?: number | null;
  time: number;
  kind: string;
  name: string;
  value: number | null;
  /** How many events it stands for; absent when that is 1. */
  weight?: number;
  release: string;
  environment: string;
  sdk: string;
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

export type EventField = keyof EventDocument;

/** An event of which only some fields are known. */
export type EventPart<F extends EventField> = Pick<EventDocument, F | 'id' | 'time'>;

export interface EventPage<F extends EventField = EventField> {
  events: EventPart<F>[];
  next: string | null;
  stats: Stats;
}
