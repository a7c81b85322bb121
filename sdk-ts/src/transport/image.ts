import {TIMEOUT, type Transport} from './transport.js';

/** Longest address that the receiver reads of a pixel, bytes, less what a proxy may put in front of its path. */
const MAX_URL = 16_000;

/**
 * Sends a small body in the address of an image: what is left where policies or blockers refuse everything else.
 *
 * An image tells only whether it came. One that comes says that the body is decided, taken or refused for good; none comes of a
 * receiver that asks to send again later.
 */
export function imageTransport(endpoint: string): Transport {
  return (body) => {
    // `unescape` makes one character of each byte, as `btoa` wants it.
    const data = btoa(unescape(encodeURIComponent(body))).replace(/\+/g, '-').replace(/\//g, '_');
    const url = `${endpoint.replace('events?', 'pixel.gif?')}&d=${data}`;
    return url.length > MAX_URL ? undefined : new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve({status: 202});
      image.onerror = () => resolve({status: 0});
      setTimeout(resolve, TIMEOUT, {status: 0});
      // No cookies, and with the origin of the page, so that the receiver can check it.
      image.crossOrigin = '';
      image.referrerPolicy = 'origin';
      image.src = url;
    });
  };
}
