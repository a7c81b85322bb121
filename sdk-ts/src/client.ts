import {createBreadcrumbs} from './breadcrumbs.js';
import {byteLength} from './byteLength.js';
import {describeError} from './describeError.js';
import {endpointOf} from './dsn.js';
import {envelope} from './envelope.js';
import {id} from './id.js';
import {createOutbox} from './outbox.js';
import {plain} from './plain.js';
import {safe} from './safe.js';
import {scrubText} from './scrubText.js';
import {scrubUrl} from './scrubUrl.js';
import {createSender} from './sender.js';
import {createSessions} from './session.js';
import {text} from './text.js';
import {beacon} from './transport/beacon.js';
import {fetchTransport} from './transport/fetch.js';
import type {Client, Discarded, Integration, MonitorEvent, NewEvent, Options, Page, Properties, Scope, User} from './types.js';

/** Bytes of one event; the receiver refuses more than 256 KiB. */
const MAX_EVENT_BYTES = 200 * 1024;
/** Failures after which a handler of an integration is switched off. */
const MAX_FAILURES = 3;
/** Kinds and reasons that are counted apart; the caller chooses kinds, and a counter must not grow without end. */
const MAX_COUNTERS = 100;

/**
 * Starts the SDK with these integrations.
 *
 * @throws when the DSN is wrong or the browser lacks what is needed; `init` turns that into a client that does nothing.
 */
export function createClient(options: Options, integrations: Integration[]): Client {
  const endpoint = endpointOf(options.dsn);
  const sampleRate = options.sampleRate ?? 1;
  const sessions = createSessions();
  const breadcrumbs = createBreadcrumbs();
  const discarded = new Map<string, Discarded>();
  const hiddenCallbacks = new Set<() => void>();
  const caught = new WeakSet<object>();
  const undo: (() => void)[] = [];
  let user = copyUser(options.user);
  let tags = texts(options.tags);
  let page = makePage(document.referrer);
  let busy = false;
  let closed = false;

  const outbox = createOutbox((kind) => discard('queue_overflow', kind));
  const sender = createSender({
    outbox,
    fetch: fetchTransport(endpoint),
    beacon: (body) => beacon(endpoint, body),
    seal(batch, counts) {
      // Single-page apps set the title after they changed the address.
      page.title = document.title;
      const {release, environment} = options;
      return envelope(batch, {release, environment, discarded: counts});
    },
    takeDiscarded() {
      const counts = [...discarded.values()];
      discarded.clear();
      return counts;
    },
    discard,
  });

  function makePage(referrer: string): Page {
    let route = location.pathname;
    try {
      route = options.route?.(new URL(location.href)) ?? route;
    } catch {
      // A route function that fails names nothing; the path always does.
    }
    return {id: id(), url: scrubUrl(location.href), route, referrer: scrubUrl(referrer), title: document.title, seq: 0};
  }

  function discard(reason: string, kind: string, count = 1): void {
    const key = `${reason} ${kind}`;
    const counter = discarded.get(key);
    if (counter) counter.count += count;
    else if (discarded.size < MAX_COUNTERS) discarded.set(key, {reason, kind, count});
  }

  function guard<Args extends unknown[]>(handler: (...args: Args) => void, maxFailures = MAX_FAILURES): (...args: Args) => void {
    return safe(handler, () => discard('sdk_error', 'error'), maxFailures);
  }

  /** A method of the client: what one caller passes by mistake must not take it away from the others. */
  const method: typeof guard = (handler) => guard(handler, Infinity);

  /** Asks a hook of the host. What the hook does itself is not captured: it would be asked about that again, without end. */
  function ask<Value>(hook: (value: Value) => Value | null | undefined | void, value: Value): Value | null | undefined | void {
    busy = true;
    try {
      return hook(value);
    } finally {
      busy = false;
    }
  }

  function capture(input: NewEvent, onPage: Page = page): void {
    if (closed) return;
    const {kind} = input;
    if (busy) return discard('reentrant', kind);
    const now = Date.now();
    const session = sessions.current(now);
    if (session.draw >= sampleRate) return discard('sampled', kind);

    const own = {id: id(now), seq: onPage.seq};
    let event = complete(input, own, now);
    if (options.beforeSend) {
      try {
        const answer = ask(options.beforeSend, event);
        if (!answer) return discard('before_send', kind);
        // Identity is not the hook's to change: it is what makes a second delivery harmless.
        event = complete(answer, own, now);
      } catch {
        return discard('before_send_error', kind);
      }
    }

    const json = JSON.stringify(event);
    const bytes = byteLength(json);
    if (bytes > MAX_EVENT_BYTES) return discard('too_large', kind);
    onPage.seq++;
    const scope: Scope = {page: onPage, session, user, tags};
    outbox.add({json, bytes, kind, scope});
    sender.added(kind);
  }

  const client: Client = {
    captureException: method((error, hint = {}) => {
      const {mechanism = 'manual', handled = true, data} = hint;
      if (typeof error === 'object' && error) {
        // Caught and reported, then thrown on: the global handler need not report the same error again.
        if (handled) caught.add(error);
        else if (caught.has(error)) return;
      }
      const {name, message, stack} = describeError(error);
      capture({
        kind: 'error',
        name,
        data: {message: scrubText(message), stack: stack && scrubText(stack), ...data, mechanism, handled, breadcrumbs: breadcrumbs.list()},
      });
      client.addBreadcrumb({category: 'error', level: 'error', message: `${name}: ${scrubText(message)}`});
    }),

    captureMessage: method((message, level = 'info') => {
      capture({kind: 'message', name: level, attributes: {level}, data: {message: String(message)}});
    }),

    track: method((name, properties, value) => {
      capture({kind: 'track', name, value, data: (properties ?? {}) as Properties});
    }),

    addBreadcrumb(breadcrumb) {
      if (closed || busy) return;
      try {
        const kept = {time: Date.now(), category: 'custom', ...breadcrumb, message: text(String(breadcrumb.message), 500)};
        const answer = options.beforeBreadcrumb ? ask(options.beforeBreadcrumb, kept) : kept;
        if (answer) breadcrumbs.add(plain(answer) as typeof answer);
      } catch {
        // The hook failed, perhaps before it could remove a secret: better no trace than that one.
      }
    },

    setUser: method((next) => {
      user = copyUser(next);
    }),

    setTag: method((key, value) => {
      tags = texts({...tags, [key]: value ?? undefined});
    }),

    async flush(timeoutMs = 2_000) {
      return closed || sender.flush(timeoutMs);
    },

    async close(timeoutMs = 2_000) {
      if (closed) return true;
      stopWatching();
      runHiddenCallbacks();
      closed = true;
      const empty = await sender.flush(timeoutMs);
      sender.stop();
      return empty;
    },

    capture: method(capture),
    discard,
    guard,
    endpoint,
    get page() {
      return page;
    },
    get busy() {
      return busy;
    },

    startPage(referrer) {
      page.title = document.title;
      return (page = makePage(referrer));
    },

    onHidden(callback) {
      const guarded = guard(callback);
      hiddenCallbacks.add(guarded);
      return () => hiddenCallbacks.delete(guarded);
    },
  };

  function runHiddenCallbacks(): void {
    hiddenCallbacks.forEach((callback) => callback());
  }

  /**
   * `visibilitychange` is the last event that all browsers deliver, mobile ones included; Chromium fires it after `pagehide`
   * when a page is left. This listener is on the document and does not capture, so it runs after the capturing listeners
   * on the window with which web-vitals finishes its metrics. https://developer.chrome.com/docs/web-platform/page-lifecycle-api
   */
  const leave = method(() => {
    if (document.visibilityState === 'hidden') runHiddenCallbacks();
    sender.leave();
  });
  const onVisibility = (): void => {
    if (document.visibilityState === 'hidden') leave();
  };

  function stopWatching(): void {
    document.removeEventListener('visibilitychange', onVisibility);
    removeEventListener('pagehide', leave);
    for (const stop of undo.splice(0).reverse()) {
      try {
        stop();
      } catch {
        // One integration that cannot be undone must not keep the others from it.
      }
    }
  }

  document.addEventListener('visibilitychange', onVisibility);
  addEventListener('pagehide', leave);
  for (const integration of integrations) {
    try {
      const stop = integration.setup(client);
      if (stop) undo.push(stop);
    } catch {
      // It does not work here; the others may.
      discard('sdk_error', 'error');
    }
  }
  return client;
}

/**
 * The event as the protocol wants it, from what an integration or a hook made; no object of the host is kept.
 *
 * @throws when it is no event, for instance the promise of an `async` hook.
 */
function complete(input: NewEvent & {time?: number}, own: {id: string; seq: number}, now: number): MonitorEvent {
  const {kind, name, time = now, value, attributes, data} = input;
  if (typeof kind !== 'string') throw new TypeError('not an event');
  return {
    ...own,
    time,
    kind,
    name: text(String(name), 200),
    ...(Number.isFinite(value) && {value: value as number}),
    ...(attributes && {attributes: texts(attributes)}),
    ...(data && {data: plain(data) as Properties}),
  };
}

function copyUser(user: User | null | undefined): User | undefined {
  if (!user) return undefined;
  const copy = plain(user) as User;
  // Ids are texts in the protocol, and numbers in many a database.
  return copy.id === undefined ? copy : {...copy, id: String(copy.id)};
}

/** A map of texts, without what is undefined. */
function texts(values: Record<string, string | number | undefined> | undefined): Record<string, string> {
  const map: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(values ?? {})) {
    if (value !== undefined && value !== '') map[text(key, 200)] = text(String(value), 1_000);
  }
  return map;
}
