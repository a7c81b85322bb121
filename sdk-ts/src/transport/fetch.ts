import {byteLength} from '../byteLength.js';

/** What became of one send. */
export interface Answer {
  /** HTTP status; 0 when there was no answer, so that nobody knows whether the body arrived. */
  status: number;
  /** Milliseconds the receiver asks to wait. */
  retryAfter?: number | undefined;
  /** Positions of the events that the receiver will never take. */
  rejected?: number[];
}

export interface FetchTransport {
  /** Whether a body of this many bytes would survive the page. */
  canOutlive(bytes: number): boolean;
  send(body: string): Promise<Answer>;
}

/**
 * Browsers allow 64 KiB in flight with `keepalive`, summed over the page and not per request, and Chromium nine such
 * requests. A request beyond that is refused at once, so we count, and leave the page some room.
 * https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
 */
const KEEPALIVE_BYTES = 60_000;
const KEEPALIVE_REQUESTS = 9;
/** ms without an answer after which a request counts as lost. */
const TIMEOUT = 30_000;
/** Longest wait that is believed, ms. `setTimeout` fires at once beyond 2^31 ms. */
const MAX_RETRY_AFTER = 24 * 3_600_000;

export function fetchTransport(url: string): FetchTransport {
  // Taken now, before anything of ours wraps it, so that we never watch our own requests.
  const native = globalThis.fetch;
  const keepaliveWorks = typeof Request === 'function' && 'keepalive' in Request.prototype;
  let flyingBytes = 0;
  let flyingRequests = 0;

  const canOutlive = (bytes: number): boolean =>
    keepaliveWorks && flyingBytes + bytes <= KEEPALIVE_BYTES && flyingRequests < KEEPALIVE_REQUESTS;

  return {
    canOutlive,
    async send(body) {
      const bytes = byteLength(body);
      const keepalive = canOutlive(bytes);
      if (keepalive) {
        flyingBytes += bytes;
        flyingRequests++;
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      try {
        const abort = new AbortController();
        timer = setTimeout(() => abort.abort(), TIMEOUT);
        // A text body and a key in the address make this a simple request: no CORS preflight.
        const response = await native.call(globalThis, url, {
          method: 'POST',
          body,
          keepalive,
          credentials: 'omit',
          referrerPolicy: 'origin',
          signal: abort.signal,
        });
        return {
          status: response.status,
          retryAfter: retryAfter(response.headers.get('retry-after')),
          rejected: response.status === 202 ? await rejectedOf(response) : [],
        };
      } catch {
        return {status: 0};
      } finally {
        clearTimeout(timer);
        if (keepalive) {
          flyingBytes -= bytes;
          flyingRequests--;
        }
      }
    },
  };
}

/** `Retry-After` in ms: seconds or an HTTP date. */
function retryAfter(header: string | null): number | undefined {
  if (!header) return undefined;
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER) : undefined;
}

/** An answer whose body is lost or strange still means that the events are stored. */
async function rejectedOf(response: Response): Promise<number[]> {
  try {
    const {rejected} = (await response.json()) as {rejected?: {index: number}[]};
    return (rejected ?? []).map(({index}) => index);
  } catch {
    return [];
  }
}
