import type {Transport} from './transport.js';

/** ms after which what was handed over is offered again, should the page live on. */
const DOUBT = 30_000;

/**
 * Hands a body to the browser to send when it likes, also after the page is gone; only asked of a page that is left. Nobody will
 * ever tell whether it arrived, so it counts as not answered.
 */
export function beaconTransport(endpoint: string): Transport {
  return (body, leaving) =>
    // False when the browser refused: its quota is used up.
    leaving && navigator.sendBeacon?.(endpoint, body) ? new Promise((resolve) => setTimeout(resolve, DOUBT, {status: 0})) : undefined;
}
