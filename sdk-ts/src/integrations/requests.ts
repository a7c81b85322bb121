import {absoluteUrl} from '../absoluteUrl.js';
import {bareUrl} from '../bareUrl.js';
import {byteLength} from '../byteLength.js';
import {patch} from '../patch.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Client, Integration, Page} from '../types.js';

export interface RequestsOptions {
  /** Addresses that are not captured: texts they contain, or patterns. */
  ignore?: (string | RegExp)[];
}

type Failure = 'network' | 'abort' | 'timeout' | 'http';

/** A request that is on its way. */
interface Started {
  name: 'fetch' | 'xhr';
  method: string;
  url: string;
  body: unknown;
  page: Page;
  /** `performance.now()` at the start. */
  at: number;
}

interface Ended {
  /** 0 when there was no answer. */
  status: number;
  /** Why there was no answer. */
  failure?: Failure | undefined;
  responseSize?: number | undefined;
}

interface Observer {
  /** Undefined when the request is not to be captured. */
  begin(name: 'fetch' | 'xhr', method: string, url: string, body: unknown): Started | undefined;
  end(started: Started, ended: Ended): void;
}

/**
 * Captures `fetch` and `XMLHttpRequest`: how long they took, how they ended. The page gets the same arguments, results and
 * exceptions as without it; bodies are neither read nor cloned, and of the headers only the length is asked for. The SDK's own
 * requests use the `fetch` it found when it started and are not seen here.
 */
export function requests({ignore = []}: RequestsOptions = {}): Integration {
  return {
    name: 'requests',
    setup(client) {
      const observer = observe(client, ignore);
      const undo = [watchFetch(client, observer), watchXhr(client, observer)];
      return () => undo.forEach((stop) => stop());
    },
  };
}

function observe(client: Client, ignore: (string | RegExp)[]): Observer {
  const isIgnored = (href: string): boolean =>
    href.startsWith(client.endpoint) || ignore.some((rule) => (typeof rule === 'string' ? href.includes(rule) : href.search(rule) >= 0));

  return {
    begin(name, method, url, body) {
      const href = absoluteUrl(url);
      if (client.busy || isIgnored(href)) return undefined;
      return {name, method: method.toUpperCase(), url: href, body, page: client.page, at: performance.now()};
    },

    end({name, method, url, body, page, at}, {status, failure = status >= 400 ? 'http' : undefined, responseSize}) {
      const target = bareUrl(url);
      client.capture(
        {
          kind: 'request',
          name,
          value: Math.round((performance.now() - at) * 10) / 10,
          attributes: {method, status, target, failure},
          data: {url: /^https?:/.test(url) ? scrubUrl(url) : target, request_size: sizeOf(body), response_size: responseSize},
        },
        page,
      );
      client.addBreadcrumb({
        category: 'request',
        level: failure ? 'warning' : 'info',
        message: `${method} ${target} ${status || failure}`,
      });
    },
  };
}

interface FetchCall {
  args: unknown[];
  started?: Started | undefined;
  signal?: AbortSignal | null | undefined;
}

function watchFetch(client: Client, {begin, end}: Observer): () => void {
  let active = true;

  const onCall = client.guard((call: FetchCall) => {
    const [input, init] = call.args as [RequestInfo | URL, (RequestInit | null | undefined)?];
    const request = typeof Request === 'function' && input instanceof Request ? input : undefined;
    call.signal = init?.signal ?? request?.signal;
    call.started = begin('fetch', init?.method ?? request?.method ?? 'GET', request?.url ?? String(input), init?.body);
  });
  const onResponse = client.guard((started: Started, {status, headers}: Response) => {
    const length = headers.get('content-length');
    end(started, {status, responseSize: length ? Number(length) : undefined});
  });
  const onFailure = client.guard((started: Started, error: unknown, {signal}: FetchCall) => {
    // The reason of an abort can be anything; that there was one is told by the signal.
    const name = (error as {name?: unknown} | null | undefined)?.name;
    const aborted = name === 'AbortError' || signal?.aborted;
    end(started, {status: 0, failure: name === 'TimeoutError' ? 'timeout' : aborted ? 'abort' : 'network'});
  });

  const stop = patch(globalThis as any, 'fetch', (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      if (!active) return original.apply(this, args);
      const call: FetchCall = {args};
      onCall(call);
      const {started} = call;
      const result: unknown = original.apply(this, args);
      // What an older wrapper returns may be more than a promise: it is handed on as it is, unobserved.
      if (!started || !isPlainPromise(result)) return result;
      // The page gets the promise that follows ours. A second branch beside it would make the browser believe that
      // rejections are handled, and hide them from `unhandledrejection`.
      return result.then(
        (response: Response) => {
          onResponse(started, response);
          return response;
        },
        (error: unknown) => {
          onFailure(started, error, call);
          throw error;
        },
      );
    };
  });
  return () => {
    active = false;
    stop();
  };
}

function isPlainPromise(value: unknown): value is Promise<Response> {
  return value instanceof Promise && Object.getPrototypeOf(value) === Promise.prototype && !Object.keys(value).length;
}

function watchXhr(client: Client, {begin, end}: Observer): () => void {
  if (typeof XMLHttpRequest !== 'function') return () => {};
  const opened = new WeakMap<XMLHttpRequest, {method: string; url: string}>();
  const types = ['abort', 'timeout', 'loadend'] as const;
  let active = true;

  const onOpen = client.guard((xhr: XMLHttpRequest, args: unknown[]) => {
    opened.set(xhr, {method: String(args[0]), url: String(args[1])});
  });
  const onSend = client.guard((xhr: XMLHttpRequest, body: unknown, call: {cancel?: () => void}) => {
    const request = opened.get(xhr);
    const started = request && begin('xhr', request.method, request.url, body);
    if (!started) return;
    let reason: Failure = 'network';
    const onEvent = (event: Event): void => {
      if (event.type !== 'loadend') {
        reason = event.type as Failure;
        return;
      }
      call.cancel?.();
      onEnd(started, xhr, reason, event as ProgressEvent);
    };
    call.cancel = () => types.forEach((type) => xhr.removeEventListener(type, onEvent));
    types.forEach((type) => xhr.addEventListener(type, onEvent));
  });
  const onEnd = client.guard((started: Started, {status}: XMLHttpRequest, reason: Failure, {loaded}: ProgressEvent) => {
    // `loaded` instead of the header: asking for a header that CORS hides writes an error to the console.
    end(started, {status, failure: status ? undefined : reason, responseSize: loaded || undefined});
  });

  const prototype = XMLHttpRequest.prototype as any;
  const undo = [
    patch(prototype, 'open', (original) => {
      return function (this: XMLHttpRequest, ...args: unknown[]): unknown {
        if (active) onOpen(this, args);
        return original.apply(this, args);
      };
    }),
    patch(prototype, 'send', (original) => {
      return function (this: XMLHttpRequest, ...args: unknown[]): unknown {
        const call: {cancel?: () => void} = {};
        if (active) onSend(this, args[0], call);
        try {
          return original.apply(this, args);
        } catch (error) {
          call.cancel?.();
          throw error;
        }
      };
    }),
  ];
  return () => {
    active = false;
    undo.forEach((stop) => stop());
  };
}

/** Bytes of a request body, where that can be known without reading it. */
function sizeOf(body: unknown): number | undefined {
  if (typeof body === 'string') return byteLength(body);
  if (body instanceof Blob) return body.size;
  const {byteLength: bytes} = (body ?? {}) as {byteLength?: unknown};
  return typeof bytes === 'number' ? bytes : undefined;
}
