import {TIMEOUT, type Transport} from './transport.js';

/**
 * Sends by `XMLHttpRequest`, where `fetch` is missing or broken. A text body and a key in the address make this a simple
 * request: no CORS preflight. It would die with the page, so it takes nothing from a page that is left.
 */
export function xhrTransport(endpoint: string): Transport {
  // Taken now, before anything of ours wraps them, so that we never watch our own requests.
  const {open, send} = XMLHttpRequest.prototype;

  return (body, leaving) =>
    leaving
      ? undefined
      : new Promise((resolve) => {
          const xhr = new XMLHttpRequest();
          xhr.onloadend = () =>
            // An answer that is no JSON is null.
            resolve({...xhr.response, status: xhr.status, retryAfter: xhr.getResponseHeader('retry-after')});
          open.call(xhr, 'POST', endpoint, true);
          xhr.responseType = 'json';
          xhr.timeout = TIMEOUT;
          send.call(xhr, body);
        });
}
