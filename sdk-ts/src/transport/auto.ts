import {beaconTransport} from './beacon.js';
import {fetchTransport} from './fetch.js';
import {gzip} from './gzip.js';
import {imageTransport} from './image.js';
import {TIMEOUT, type Answer, type Transport} from './transport.js';
import {xhrTransport} from './xhr.js';

/** Bodies that are shorter, in UTF-16 units, fit into the first packets anyway: not worth the time of a slow phone. */
const PAYS = 2_000;
/** Sends without an answer, one after the other, after which another way is tried first. */
const MAX_MISSES = 3;
/** The answer of a way that does not end, whatever its signal says: the page may have wrapped it. Not worth another try. */
const NEVER: Answer = {status: 0};

/**
 * Chooses the way: `fetch`, compressed when that pays; where it gets no answers (a broken service worker or wrapper, a policy that allows
 * no connections) `XMLHttpRequest`, then images. A page that is left has `fetch` with keepalive, and `sendBeacon` for what that does not take;
 * the other way round when `fetch` had no answer.
 */
export function autoTransport(endpoint: string): Transport {
  const plain = fetchTransport(endpoint);
  const packed = fetchTransport(endpoint + '&encoding=gzip');
  const beacon = beaconTransport(endpoint);
  const compressed: Transport = (body) =>
    body.length > PAYS ? gzip(body).then((bytes) => (bytes ? packed(bytes, false) : plain(body, false))!) : plain(body, false);
  let ways: [Transport, Transport, Transport] = [compressed, xhrTransport(endpoint), imageTransport(endpoint)];
  let misses = 0;

  return (body, leaving) => {
    const [first, second, third] = ways;
    const answer = leaving
      ? ((misses || first !== compressed) && beacon(body, leaving)) || plain(body, leaving) || beacon(body, leaving)
      : // Only an image may be too small for a body.
        (first(body, leaving) ?? second(body, leaving));
    const timely = answer && Promise.race([answer, new Promise<Answer>((resolve) => setTimeout(resolve, TIMEOUT, NEVER))]);
    if (leaving) return timely;
    return timely!
      .catch(() => ({status: 0}))
      .then((result) => {
        misses = result.status ? 0 : result === NEVER ? MAX_MISSES : misses + 1;
        if (misses >= MAX_MISSES) {
          // A network that is down looks the same from everywhere; then this goes round.
          ways = [second, third, first];
          misses = 0;
        }
        return result;
      });
  };
}
