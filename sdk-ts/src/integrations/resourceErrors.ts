import {bareUrl} from '../bareUrl.js';
import {scrubUrl} from '../scrubUrl.js';
import {selector} from '../selector.js';
import type {Integration} from '../types.js';

/** Captures images, scripts, style sheets and media that could not be loaded. */
export function resourceErrors(): Integration {
  return {
    name: 'resourceErrors',
    setup(client) {
      const onError = client.guard((event: Event) => {
        const element = event.target;
        if (!(element instanceof Element)) return;
        const {currentSrc, src, href} = element as Element & Record<'currentSrc' | 'src' | 'href', unknown>;
        // An SVG <image> has an object here; an <img> without any address is the page's business.
        const url = [currentSrc, src, href].find((value): value is string => typeof value === 'string' && value !== '');
        if (!url) return;
        const target = bareUrl(url);
        const tag = element.localName;
        client.capture({
          kind: 'error',
          name: 'ResourceError',
          attributes: {target},
          data: {
            message: `<${tag}> could not be loaded: ${target}`,
            source: /^data:/i.test(url) ? target : scrubUrl(url),
            mechanism: 'resource',
            handled: false,
            element: selector(element),
          },
        });
        client.addBreadcrumb({category: 'error', level: 'error', message: `ResourceError: ${target}`});
      });
      // These events do not bubble; only a capturing listener sees them.
      addEventListener('error', onError, true);
      return () => removeEventListener('error', onError, true);
    },
  };
}
