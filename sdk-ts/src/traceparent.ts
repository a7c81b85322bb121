import {id} from './id.js';
import type {Exchange} from './integrations/requests.js';
import {matches, type Rules} from './matches.js';

/**
 * For `requests({onRequest})`: adds a W3C `traceparent` header to the requests whose address matches, or with `true` to those to the
 * page's own origin; `data.trace_id` names the trace. To another origin the header costs a preflight, and the request fails when that
 * origin does not allow it. Not for requests that another tracer marks.
 */
export function traceparent(addresses: Rules | true): (exchange: Exchange) => void {
  return ({url, data, request}) => {
    if (addresses === true ? !url.startsWith(`${location.origin}/`) : !matches(addresses, url)) return;
    const trace = id();
    const header = ['traceparent', `00-${trace}-${id().slice(16)}-01`] as const;
    if (request instanceof XMLHttpRequest) {
      request.setRequestHeader(...header);
    } else {
      // What `fetch` does itself first, so that all forms of headers and bodies are understood, and none is read.
      const marked = new Request(...(request as [RequestInfo, RequestInit?]));
      marked.headers.set(...header);
      request.splice(0, 2, marked);
    }
    data['trace_id'] = trace;
  };
}
