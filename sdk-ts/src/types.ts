import type {Delivery} from './delivery.js';
import type {Transport} from './transport/transport.js';

/** JSON object whose keys and values the caller chooses. */
export type Properties = Record<string, unknown>;

/** How bad a message or breadcrumb is. */
export type Level = 'debug' | 'info' | 'warning' | 'error' | 'fatal';

/** The kinds this SDK sends itself; any other name of `a-z 0-9 _ -` is stored too. */
export type Kind = 'error' | 'message' | 'vital' | 'page_view' | 'click' | 'request' | 'track' | (string & {});

/** One thing that happened. Mirrors the event of the ingest protocol; the sequence number is added when it is queued. */
export interface MonitorEvent {
  /** UUID v7, made once at capture and repeated on every re-send: a second delivery is harmless. */
  id: string;
  /** Milliseconds since the Unix epoch, by this device's clock. */
  time: number;
  /** What kind of thing it is: `error`, `vital`, `click`. */
  kind: Kind;
  /** What a dashboard groups by: `TypeError`, `LCP`, `page_view`. */
  name: string;
  /** The number to aggregate: milliseconds for durations, a plain number otherwise. */
  value?: number;
  /** What can be filtered and grouped; values are texts. */
  attributes?: Record<string, string>;
  /** Details, read when one event is looked at. */
  data?: Properties;
  /** How many events this one stands for, when more than itself: 1 / sample rate, times the repeats folded into it. */
  weight?: number;
}

/** What an integration knows of an event; the client adds id, sequence number and time. */
export interface NewEvent {
  /** What kind of thing it is: `error`, `vital`, `click`. */
  kind: Kind;
  /** The kind when left out. */
  name?: string | undefined;
  /** The number to aggregate: milliseconds for durations, a plain number otherwise. */
  value?: number | undefined;
  /** Undefined and empty values are left out. */
  attributes?: Record<string, string | number | undefined> | undefined;
  /** Details; copied at capture, and what JSON cannot carry is replaced by a text that says so. */
  data?: Properties | undefined;
  /** Milliseconds since the Unix epoch; now when left out. */
  time?: number | undefined;
  /** How many events this one stands for; 1 when left out. */
  weight?: number | undefined;
}

/**
 * Asked about each event before it is queued: the event to go on with, or why it goes no further (`filtered`), which is counted. An
 * empty text takes the event over: it is not counted, and may go on later through `client.enqueue`.
 */
export type Processor = (event: MonitorEvent, page: Page) => MonitorEvent | string;

/** A trace of what happened before an error. */
export interface Breadcrumb {
  /** Milliseconds since the Unix epoch; now when left out. */
  time?: number;
  /** `custom` when left out; the SDK also leaves `rage_click`, `dead_click` and `form_submit`. */
  category?: 'navigation' | 'click' | 'request' | 'console' | 'error' | 'custom' | (string & {});
  /** At most 500 characters are kept. */
  message: string;
  /** How bad it is. */
  level?: Level;
  /** Details. */
  data?: Properties;
}

/** Who uses the page: an id and whatever else is of use. What is private should stay out. */
export interface User {
  /** Sent as text. */
  id?: string | number;
  [key: string]: unknown;
}

/** One page view. Its events share an envelope. */
export interface Page {
  /** UUID v7. */
  readonly id: string;
  /** Address with the values of sensitive parameters replaced. */
  readonly url: string;
  /** What pages are grouped by: what the option `route` or `startView` named it, else the path. */
  readonly route: string;
  /** Address of the page of another origin that led here, with replaced values as in `url`; empty when there was none. */
  readonly referrer: string;
  /** Title of the document; read again at each send, and when another page view begins. */
  title: string;
  /** Sequence number of the next event; the receiver does not read it. */
  seq: number;
}

/** Everything an envelope says once for all its events, but for the page. Replaced, never changed in place. */
export interface Scope {
  /** The option of this name. */
  readonly release?: string | undefined;
  /** The option of this name. */
  readonly environment?: string | undefined;
  /** The option of this name, and what `setTag` set. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** What `setUser` set. */
  readonly user?: User | undefined;
  /** Set by the integration `sessions`. */
  readonly session?: {readonly id: string; readonly visitor: string} | undefined;
  /** Set by the integration `device`. */
  readonly device?: Readonly<Record<string, string | undefined>> | undefined;
}

/** What was given up: an event, or as many of a kind. */
export interface Lost {
  /** `error` when left out. */
  readonly kind?: Kind | undefined;
  /** How many; 1 when left out. */
  readonly weight?: number | undefined;
}

/** Events that were given up, for the receiver's statistics. */
export interface Discarded {
  /** See the table of reasons in the README. */
  reason: string;
  kind: string;
  /** How many. */
  count: number;
}

/** Events that travel together. Plain data with stable names, because the durable outbox stores it as it is. */
export interface Batch {
  readonly id: string;
  readonly page: Page;
  readonly scope: Scope;
  /** Serialized events, with their length in bytes as UTF-8, and their weight if they stand for more than themselves. */
  readonly items: {readonly json: string; readonly kind: string; readonly bytes: number; readonly weight?: number | undefined}[];
  /** How often it was handed to the network; any send but the first may find that it has already arrived. */
  attempt: number;
  /** What was given up before its first send; travels with it. */
  discarded: Discarded[];
}

/** What else is known of an error. */
export interface ExceptionHint {
  /** How the error was noticed; `manual` by default. */
  mechanism?: string;
  /** False when nobody caught it; true by default. */
  handled?: boolean;
  /** Added to the details of the event. */
  data?: Properties | undefined;
  /** Names what was thrown when that does not say itself; `Error` by default. */
  fallback?: string | undefined;
}

/** Watches one thing in the page and captures what it sees. */
export interface Integration {
  /** By which the default integrations are told apart. */
  readonly name: string;
  /** Starts watching; returns how to stop. An exception here disables this integration only. `load` is the page view of the load, if that may be over. */
  setup(client: Client, load?: Page): (() => void) | void;
}

/** What `start` takes. */
export interface Options {
  /** `https://<public_key>@host[/mount]/<project>`. */
  dsn: string;
  /** Version of the page, to filter by. */
  release?: string | undefined;
  /** `production`, `staging`, to filter by. */
  environment?: string | undefined;
  /** What is watched, in the order in which it starts: `consent` and `filters` first, `keepIfBad` last. */
  integrations: Integration[];
  /**
   * Last word on each event: return it, changed or not, to send it; its id stays. Anything empty drops it, and so does a hook that
   * throws, because it may have been about to remove a secret, or that is `async`; all are counted as `before_send`.
   */
  beforeSend?: (event: MonitorEvent) => MonitorEvent | null | undefined | void;
  /** Texts that all events carry; see `setTag`. */
  tags?: Record<string, string>;
  /** Names the route of an address, to group pages; its path by default. */
  route?: ((url: URL) => string | undefined) | undefined;
  /** The ways to the receiver, the best first; `[fetchTransport]` by default, with `init` `[autoTransport]`. */
  transports?: ((endpoint: string) => Transport)[] | undefined;
}

/** The running SDK. None of its methods throws. */
export interface Client {
  /** Reports an error that was caught. Anything can be passed, as anything can be thrown. */
  captureException(error: unknown, hint?: ExceptionHint): void;
  /** Leaves a trace that later errors carry with them, when the integration `breadcrumbs` runs. */
  addBreadcrumb: (breadcrumb: Breadcrumb) => void;
  /** What all later events carry; replace it to change it. `setUser`, `setTag`, `setContext` and `withScope` do so. */
  scope: Scope;
  /** Details that errors and messages carry, see `setContext`. */
  contexts?: Properties | undefined;
  /** While it is true nothing is captured and nothing sent; what is already queued waits. */
  paused: boolean;
  /** Who wants it to be, see `hold`. */
  _held?: number;
  /** Sends what is queued. True when nothing was left waiting within `timeoutMs` (default 2,000). */
  flush(timeoutMs?: number): Promise<boolean>;
  /** Undoes every patch, sends what is queued, and stops. */
  close(timeoutMs?: number): Promise<boolean>;

  /** For integrations: captures an event, on an earlier page if one is given. */
  capture(event: NewEvent, page?: Page): void;
  /** For integrations: queues an event that a processor took over; `beforeSend` is asked now. */
  enqueue(event: MonitorEvent, page: Page): void;
  /** Where events wait and how they leave. */
  readonly _delivery: Delivery;
  /** For integrations: counts what was given up. */
  discard(reason: string, lost: Lost): void;
  /** For integrations: the page view that is going on. */
  page: Page;
  /** For integrations: begins a new page view at the current address; the option `route` may name it otherwise than `route` here. */
  startPage(referrer: string, route?: string): Page;
  /** For integrations: runs when the page is hidden, just before the last flush, and before another page view begins, while `page` still is the old one. */
  onLeave(callback: (hidden: boolean) => void): void;
  /** For integrations: asks about every event from now on, after the processors that were added before. */
  process(processor: Processor): void;
  /**
   * For integrations: listens until the client is closed. The listener is guarded; it captures and is passive unless told
   * otherwise, so that it runs before the page's own and cannot hold up scrolling.
   */
  listen<E extends Event>(target: EventTarget, type: string, listener: (event: E) => void, options?: AddEventListenerOptions): void;
  /** For integrations: asks a hook of the host, `busy` meanwhile. */
  ask<Value, Answer>(hook: (value: Value) => Answer, value: Value): Answer | null;
  /** For integrations: true while a hook of the host runs; what it does then must not be captured. */
  busy: boolean;
  /** For integrations: wraps a handler so that it never throws, and counts its failures. */
  guard<Args extends unknown[]>(handler: (...args: Args) => void): (...args: Args) => void;
  /** For integrations: where events are sent; requests to it are the SDK's own. Empty when there is none. */
  readonly endpoint: string;
}
