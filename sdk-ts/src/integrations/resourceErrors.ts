import {bareUrl} from '../bareUrl.js';
import {fold} from '../fold.js';
import {scrubUrl} from '../scrubUrl.js';
import {selector} from '../selector.js';
import type {Integration} from '../types.js';

/** Captures images, scripts, style sheets and media that could not be loaded. */
export function resourceErrors(): Integration {
  return {
    name: 'resourceErrors',
    setup(client) {
      fold(client, 'error');

      // These events do not bubble; only a capturing listener sees them.
      client.listen(window, 'error', ({target: element}: Event) => {
        if (!(element instanceof Element)) return;
        const {currentSrc, src, href} = element as any;
        // An SVG image has an object here. An <img> without any address is the page's business; its `src` is the page's address.
        const url = String(currentSrc ?? src ?? href?.baseVal ?? href ?? '');
        if (!url) return;
        const target = bareUrl(url);
        client.capture({
          kind: 'error',
          name: 'ResourceError',
          attributes: {target},
          data: {
            message: `<${element.localName}> could not be loaded: ${target}`,
            source: /^https?:/.test(url) ? scrubUrl(url) : target,
            mechanism: 'resource',
            handled: false,
            element: selector(element),
          },
        });
      });
    },
  };
}
