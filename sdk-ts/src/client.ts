import {createDelivery} from './delivery.js';
import {describeError} from './describeError.js';
import {endpointOf} from './dsn.js';
import {id} from './id.js';
import {plain} from './plain.js';
import {scrubUrl} from './scrubUrl.js';
import {text} from './text.js';
import {texts} from './texts.js';
import {fetchTransport} from './transport/fetch.js';
import type {Client, MonitorEvent, NewEvent, Options, Page, Processor} from './types.js';

/** UTF-16 units of one serialized event; the receiver refuses more than 256 KiB. */
const MAX_EVENT = 80_000;

/**
 * Starts the SDK.
 *
 * @throws when the DSN is wrong or the browser lacks what is needed; `start` turns that into a warning.
 */
export function createClient(options: Options): Client {
  const {transports = [fetchTransport], integrations, beforeSend, release, environment, tags} = options;
  const endpoint = endpointOf(options.dsn);
  const leaveCallbacks: ((hidden: boolean) => void)[] = [];
  const processors: Processor[] = [];
  const undo: (() => void)[] = [];

  const delivery = createDelivery(
    transports.map((make) => make(endpoint)),
    () => client,
  );
  const {_discard: discard} = delivery;

  function makePage(referrer: string, route = location.pathname): Page {
    try {
      route = options.route?.(new URL(location.href)) ?? route;
    } catch {
      // A route function that fails names nothing; the path always does.
    }
    return {
      id: id(),
      url: scrubUrl(location.href),
      route,
      // Where a visitor comes from is another site: who goes from one page of this one to the next comes from nowhere.
      referrer: referrer.startsWith(`${location.origin}/`) ? '' : scrubUrl(referrer),
      title: `${document.title}`,
      seq: 0,
    };
  }

  function guard<Args extends unknown[]>(handler: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        handler(...args);
      } catch {
        discard('sdk_error', {});
      }
    };
  }

  /** Asks a hook of the host. What the hook does itself is not captured: it would be asked about that again, without end. */
  function ask<Value, Answer>(hook: (value: Value) => Answer, value: Value): Answer | null {
    client.busy = true;
    try {
      return hook(value);
    } catch {
      // It may have been about to remove a secret: better nothing than that.
      return null;
    } finally {
      client.busy = false;
    }
  }

  function capture(input: NewEvent, onPage = client.page): void {
    if (client.paused) return;
    if (client.busy) return discard('reentrant', input);
    let event: MonitorEvent | string = complete({time: Date.now(), ...input}, id());
    for (const processor of processors) {
      event = processor(event, onPage);
      if (typeof event === 'string') return event ? discard(event, input) : undefined;
    }
    enqueue(event, onPage);
  }

  function enqueue(event: MonitorEvent, onPage: Page): void {
    // The host has the last word, whenever it is spoken. Identity is not its to change: that is what makes a second delivery harmless.
    const answer = beforeSend ? ask((event) => complete(beforeSend(event)!, event.id), event) : event;
    if (!answer) return discard('before_send', event);
    const json = JSON.stringify({...answer, seq: onPage.seq});
    if (json.length > MAX_EVENT) return discard('too_large', answer);
    onPage.seq++;
    delivery._add(json, answer, onPage);
  }

  const client: Client = {
    captureException: guard((error, {mechanism = 'manual', handled = true, data, fallback} = {}) => {
      const {name, ...details} = describeError(error, fallback);
      capture({kind: 'error', name, data: {...details, ...data, mechanism, handled}});
    }),

    addBreadcrumb() {},

    flush: delivery._flush,

    async close(timeoutMs) {
      undo.splice(0).reverse().forEach((stop) => guard(stop)());
      leave(true);
      const flushed = delivery._flush(timeoutMs);
      client.paused = true;
      return flushed.finally(delivery._stop);
    },

    scope: {release, environment, tags: texts(tags)},
    paused: false,
    busy: false,
    // A text, also where an `<img name="referrer">` takes its place in the document.
    page: makePage(`${document.referrer}`),
    capture: guard(capture),
    enqueue,
    discard,
    guard,
    ask,
    endpoint,
    _delivery: delivery,

    startPage(referrer, name) {
      // As it was until now: the page is no longer the one whose title is read at each send.
      client.page.title = `${document.title}`;
      leave(false);
      return (client.page = makePage(referrer, name));
    },

    onLeave(callback) {
      leaveCallbacks.push(guard(callback));
    },

    process(processor) {
      processors.push(processor);
    },

    listen(target, type, listener, how = {capture: true, passive: true}) {
      const guarded = guard(listener) as (event: Event) => void;
      target.addEventListener(type, guarded, how);
      undo.push(() => target.removeEventListener(type, guarded, how));
    },
  };

  function leave(hidden: boolean): void {
    leaveCallbacks.forEach((callback) => callback(hidden));
  }

  function handOver(): void {
    if (!client.paused) delivery._leave();
  }

  /**
   * `visibilitychange` is the last event that all browsers deliver, mobile ones included; Chromium fires it after `pagehide`
   * when a page is left. This listener is on the document and does not capture, so it runs after the capturing listeners
   * on the window with which web-vitals finishes its metrics. https://developer.chrome.com/docs/web-platform/page-lifecycle-api
   */
  client.listen(
    document,
    'visibilitychange',
    () => {
      if (document.visibilityState !== 'hidden') return;
      leave(true);
      handOver();
    },
    {},
  );
  client.listen(window, 'pagehide', handOver, {});
  client.listen(window, 'online', () => client.paused || delivery._online());

  integrations.forEach(
    guard(({setup}) => {
      const stop = setup(client);
      if (stop) undo.push(stop);
    }),
  );
  return client;
}

/**
 * The event as the protocol wants it, from what an integration or a hook made; no object of the host is kept.
 *
 * @throws when it is no event, for instance the promise of an `async` hook.
 */
function complete({kind, name = kind, time, value, weight, attributes, data}: NewEvent, id: string): MonitorEvent {
  return {
    id,
    time,
    kind: kind.slice(),
    name: text(name, 200),
    value,
    weight,
    attributes: texts(attributes),
    data: plain(data),
  } as MonitorEvent;
}
