import {absoluteUrl} from '../absoluteUrl.js';
import {bareUrl} from '../bareUrl.js';
import {byteLength} from '../byteLength.js';
import {matches, type Rules} from '../matches.js';
import {ms} from '../ms.js';
import {patch} from '../patch.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Client, Integration, NewEvent, Properties} from '../types.js';

/** A request of the page, as the hooks see it, and its event, whose attributes and details can be added to. */
export interface Exchange extends NewEvent {
  /** Of the event; `status` and `failure` are known with the answer. */
  readonly attributes: Record<string, string | number | undefined>;
  /** Details of the event. */
  readonly data: Properties;
  /** Absolute, with all its parameters. */
  readonly url: string;
  /** Before it leaves: the arguments of `fetch`, in a list that can be changed, or the XMLHttpRequest about to be sent. */
  readonly request: unknown[] | XMLHttpRequest;
  /** What has arrived; the page reads it too. */
  answer?: Response | XMLHttpRequest | undefined;
  /** Whose integration this is; `client.ask` runs what must not be captured. */
  readonly client: Client;
}

/** What `requests` takes. */
export interface RequestsOptions {
  /** Requests that are not captured, by their address. */
  ignore?: Rules;
  /** Called before a request leaves, for instance `traceparent`. */
  onRequest?: (exchange: Exchange) => void;
  /** Called when an answer has arrived, for instance `businessCode`; the event waits for the promise. */
  onAnswer?: (exchange: Exchange) => Promise<void> | void;
}

/** Without an answer, or with one that nobody may see, the status is 0; `reason` is the name of the event or exception. */
type End = (answer: Exchange['answer'], reason: string, size?: unknown) => void;

/**
 * Captures `fetch` and `XMLHttpRequest`: how long they took, how they ended, and how much was sent and came back. The duration of a
 * fetch ends with the headers of its answer, that of an XMLHttpRequest with the body. The page gets the same arguments, results and
 * exceptions as without it. The SDK's own requests use the functions it found when it started and are not seen here. Nor is an
 * XMLHttpRequest that is opened again before it has ended, which has no events.
 */
export function requests({ignore = [], onRequest, onAnswer}: RequestsOptions = {}): Integration {
  return {
    name: 'requests',
    setup(client) {
      // Of the engine, whatever the page put in its place: it is what `fetch` returns.
      const NativePromise = (async () => {})().constructor;
      const run = client.guard((action: () => void) => action());
      let leftAt = 0;
      // A page that is left and comes back finds its requests dead: no fault of the network.
      client.listen(window, 'pagehide', () => {
        leftAt = performance.now();
      });

      /** Undefined when the request is not to be captured. */
      function begin(name: string, request: Exchange['request'], verb: unknown, address: unknown, body: any): End | undefined {
        const url = absoluteUrl(`${address}`);
        // Addresses that are their own content (`data:`, `blob:`) need no network.
        if (client.busy || !/^http/.test(url) || url.startsWith(client.endpoint) || matches(ignore, url)) return undefined;
        const {page} = client;
        const at = performance.now();
        const method = `${verb}`.toUpperCase();
        const target = bareUrl(url);
        const attributes: Exchange['attributes'] = {method, target};
        // Of a body what can be told without reading it: not of a form or a stream. Parameters have a `size`, too: their number.
        const size = typeof body === 'string' || body instanceof URLSearchParams ? byteLength(`${body}`) : (body?.byteLength ?? (body?.slice && body.size));
        // An XMLHttpRequest to GET leaves its body out.
        const data: Properties = {url: scrubUrl(url), request_size: +(method !== 'GET' && size) || undefined};
        const exchange: Exchange = {kind: 'request', name, attributes, data, url, request, client};
        // What a hook requests itself is not captured: it would be asked about that again, without end.
        if (onRequest) client.ask(onRequest, exchange);

        return async (answer, reason, size) => {
          const status = answer?.status || 0;
          exchange.value = ms(performance.now() - at);
          exchange.answer = answer;
          attributes['status'] = status;
          // An answer without a status and a reason is one that the page must not see, of `no-cors` or a manual redirect.
          attributes['failure'] = status
            ? (status >= 400 ? 'http' : '')
            : reason && (/timeout/i.test(reason) ? 'timeout' : at < leftAt || /abort/i.test(reason) ? 'abort' : 'network');
          data['response_size'] = +size! || undefined;
          try {
            if (onAnswer && status) await client.ask(onAnswer, exchange);
          } catch {
            // The event is worth more than what a hook adds to it.
          }
          client.capture(exchange, page);
          client.addBreadcrumb({
            category: 'request',
            level: attributes['failure'] ? 'warning' : 'info',
            message: `${method} ${target} ${status || attributes['failure']}`,
          });
        };
      }

      const stopFetch = patch(window as any, 'fetch', (original) =>
        function (...args) {
          let end: End | undefined;
          let signal: AbortSignal | undefined;
          run(() => {
            const [input = {}, init = {}] = args.map(Object);
            signal = init.signal ?? input.signal;
            end = begin('fetch', args, init.method ?? input.method ?? 'GET', input.url ?? input, init.body);
          });
          const result = original.apply(this, args);
          // What an older wrapper returns may be more than a promise: it is handed on as it is, unobserved.
          if (!end || result?.constructor !== NativePromise || Object.keys(result).length) return result;
          // The page gets the promise that follows ours. A second branch beside it would make the browser believe that
          // rejections are handled, and hide them from `unhandledrejection`.
          return result.then(
            (response: Response) => {
              run(() => end!(response, '', response.headers.get('content-length')));
              return response;
            },
            (error: Error) => {
              // The reason of an abort can be anything; that there was one is told by the signal.
              run(() => end!(undefined, `${error?.name} ${signal?.aborted && 'abort'}`));
              throw error;
            },
          );
        },
      );

      /** The method and address of `open`, and what is to be told of the end once it is sent. */
      const calls = new WeakMap<XMLHttpRequest, unknown[] & {end?: End | undefined}>();
      const settle = client.guard(({target, type, loaded}: Partial<ProgressEvent>) => {
        const xhr = target as XMLHttpRequest;
        const call = calls.get(xhr);
        // A listener before ours may already have sent the next request.
        if (xhr.readyState > 3 && calls.delete(xhr)) call!.end?.(xhr, type!, loaded);
      });
      const stopOpen = patch(XMLHttpRequest.prototype as any, 'open', (original) =>
        function (...args) {
          settle({target: this, type: 'error'});
          const result = original.apply(this, args);
          run(() => {
            // The address as it is now: a URL object can be changed before it is sent.
            calls.set(this, [args[0], `${args[1]}`]);
            // The same listener each time, so that an object that is used again has it once.
            for (const type of ['load', 'error', 'abort', 'timeout']) this.addEventListener(type, settle);
          });
          return result;
        },
      );
      const stopSend = patch(XMLHttpRequest.prototype as any, 'send', (original) =>
        function (...args) {
          run(() => {
            const call = calls.get(this);
            // Once: a second `send` only throws.
            if (call) call.end ??= begin('xhr', this, call[0], call[1], args[0]);
          });
          try {
            return original.apply(this, args);
          } finally {
            // A synchronous request that fails throws, and has no events.
            settle({target: this, type: 'error'});
          }
        },
      );

      return () => {
        stopFetch();
        stopOpen();
        stopSend();
      };
    },
  };
}
