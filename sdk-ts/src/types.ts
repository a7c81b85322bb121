/** JSON object whose keys and values the caller chooses. */
export type Properties = Record<string, unknown>;

/** How bad a message or breadcrumb is. */
export type Level = 'debug' | 'info' | 'warning' | 'error' | 'fatal';

/** The kinds this SDK sends itself; any other name of `a-z 0-9 _ -` is stored too. */
export type Kind = 'error' | 'message' | 'vital' | 'page_view' | 'click' | 'request' | 'track' | (string & {});

/** One thing that happened. Mirrors the event of the ingest protocol. */
export interface MonitorEvent {
  /** UUID v7, made once at capture and repeated on every re-send: a second delivery is harmless. */
  id: string;
  /** Number of the event on its page, from 0; gaps show loss. */
  seq: number;
  /** Milliseconds since the Unix epoch, by this device's clock. */
  time: number;
  kind: Kind;
  /** What a dashboard groups by: `TypeError`, `LCP`, `page_view`. */
  name: string;
  /** The number to aggregate: milliseconds for durations, a plain number otherwise. */
  value?: number;
  /** What can be filtered and grouped; values are texts. */
  attributes?: Record<string, string>;
  /** Details, read when one event is looked at. */
  data?: Properties;
}

/** What an integration knows of an event; the client adds id, sequence number and time. */
export interface NewEvent {
  kind: Kind;
  name: string;
  value?: number | undefined;
  /** Undefined and empty values are left out. */
  attributes?: Record<string, string | number | undefined>;
  data?: Properties;
}

export interface Breadcrumb {
  /** Milliseconds since the Unix epoch; now when left out. */
  time?: number;
  category?: 'navigation' | 'click' | 'request' | 'console' | 'error' | 'custom' | (string & {});
  message: string;
  level?: Level;
  data?: Properties;
}

export interface User {
  id?: string | number;
  [key: string]: unknown;
}

/** One page view. Its events share an envelope. */
export interface Page {
  readonly id: string;
  /** Address with the values of sensitive parameters replaced. */
  readonly url: string;
  readonly route: string;
  readonly referrer: string;
  title: string;
  /** Sequence number of the next event; not sent. */
  seq: number;
}

export interface Session {
  readonly id: string;
  readonly visitor: string;
  /** Drawn once per session from [0, 1): the session is kept when it is below the sample rate. */
  readonly draw: number;
}

/** Everything an envelope says once for all its events. Its parts are replaced, never changed in place. */
export interface Scope {
  readonly page: Page;
  readonly session: Session;
  readonly user: User | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** Events that were given up, for the receiver's statistics. */
export interface Discarded {
  reason: string;
  kind: string;
  count: number;
}

export interface ExceptionHint {
  /** How the error was noticed; `manual` by default. */
  mechanism?: string;
  /** False when nobody caught it; true by default. */
  handled?: boolean;
  /** Added to the details of the event. */
  data?: Properties;
}

/** Watches one thing in the page and captures what it sees. */
export interface Integration {
  readonly name: string;
  /** Starts watching; returns how to stop. An exception here disables this integration only. */
  setup(client: Client): (() => void) | void;
}

export interface Options {
  /** `https://<public_key>@host[/mount]/<project>`. */
  dsn: string;
  release?: string | undefined;
  environment?: string | undefined;
  /** The integrations to run, or what to make of the default ones. */
  integrations?: Integration[] | ((defaults: Integration[]) => Integration[]);
  /**
   * Last word on each event: return it, changed or not, to send it; anything empty drops it (`before_send`).
   * An event whose hook throws is dropped (`before_send_error`): the hook may have been about to remove a secret.
   */
  beforeSend?: (event: MonitorEvent) => MonitorEvent | null | undefined | void;
  /** The same for breadcrumbs. */
  beforeBreadcrumb?: (breadcrumb: Breadcrumb) => Breadcrumb | null | undefined | void;
  /** Share of sessions to keep, 0 to 1 (default 1). Decided once per session, for all kinds of events, errors included. */
  sampleRate?: number | undefined;
  tags?: Record<string, string>;
  user?: User | undefined;
  /** Names the route of an address, to group pages; its path by default. */
  route?: (url: URL) => string;
}

/** The running SDK. None of its methods throws. */
export interface Client {
  /** Reports an error that was caught. Anything can be passed, as anything can be thrown. */
  captureException(error: unknown, hint?: ExceptionHint): void;
  /** Reports a text; `info` by default. */
  captureMessage(text: string, level?: Level): void;
  /** Reports something of your own, with an optional number to aggregate. */
  track(name: string, properties?: object, value?: number): void;
  /** Leaves a trace that later errors carry with them. The last 30 are kept. */
  addBreadcrumb(breadcrumb: Breadcrumb): void;
  /** Names who is using the page from now on; `null` forgets. */
  setUser(user: User | null): void;
  /** Sets a text that all later events carry; `null` removes it. */
  setTag(key: string, value: string | null): void;
  /** Sends what is queued. True when nothing was left waiting within `timeoutMs` (default 2,000). */
  flush(timeoutMs?: number): Promise<boolean>;
  /** Undoes every patch, sends what is queued, and stops. */
  close(timeoutMs?: number): Promise<boolean>;

  /** For integrations: captures an event, on an earlier page if one is given. */
  capture(event: NewEvent, page?: Page): void;
  /** For integrations: counts events that were given up. */
  discard(reason: string, kind: string, count?: number): void;
  /** For integrations: the page view that is going on. */
  readonly page: Page;
  /** For integrations: begins a new page view at the current address. */
  startPage(referrer: string): Page;
  /** For integrations: runs when the page was hidden, just before the last flush. Returns how to stop. */
  onHidden(callback: () => void): () => void;
  /** For integrations: true while a hook of the host runs; what it does then must not be captured. */
  readonly busy: boolean;
  /** For integrations: wraps a handler so that it never throws, and gives up after three failures. */
  guard<Args extends unknown[]>(handler: (...args: Args) => void): (...args: Args) => void;
  /** For integrations: where events are sent; requests to it are the SDK's own. Empty when there is none. */
  readonly endpoint: string;
}
