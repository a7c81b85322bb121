import {byteLength} from '../byteLength.js';
import {TIMEOUT, type Transport} from './transport.js';

/**
 * Browsers allow 64 KiB in flight with `keepalive`, summed over the page and not per request. A request beyond that is refused
 * at once, so we count, and leave the page some room. https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
 */
const KEEPALIVE_BYTES = 60_000;
let flying = 0;

/** Sends by `fetch`, with `keepalive` where that fits, so that a page that goes away does not take its requests along. */
export function fetchTransport(endpoint: string): (body: string | Uint8Array<ArrayBuffer>, leaving: boolean) => ReturnType<Transport> {
  // Taken now, before anything of ours wraps it, so that we never watch our own requests.
  const native = fetch;
  return (body, leaving) => {
    let bytes = byteLength(body);
    const keepalive = flying + bytes <= KEEPALIVE_BYTES;
    if (!keepalive) {
      if (leaving) return undefined;
      bytes = 0;
    }
    flying += bytes;
    // A text body, or bytes without a type, and a key in the address make this a simple request: no CORS preflight.
    return native
      .call(globalThis, endpoint, {method: 'POST', body, keepalive, credentials: 'omit', referrerPolicy: 'origin', signal: AbortSignal.timeout?.(TIMEOUT)})
      .then(async (response) => ({
        // An answer whose body is lost or strange still means that the events are stored.
        ...(await response.json().catch(() => {})),
        status: response.status,
        retryAfter: response.headers.get('retry-after'),
      }))
      .finally(() => (flying -= bytes));
  };
}
