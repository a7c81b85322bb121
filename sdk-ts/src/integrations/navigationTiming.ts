import {ms} from '../ms.js';
import {navigation} from '../navigation.js';
import type {Integration} from '../types.js';
import {wasHidden} from '../wasHidden.js';

/**
 * Captures how the document was loaded, once: durations of its phases and times since the navigation began, all in ms. A
 * prerendered page is captured when it is shown, and its times count from then.
 */
export function navigationTiming(): Integration {
  return {
    name: 'navigationTiming',
    setup(client, page = client.page) {
      const capture = client.guard(() => {
        const {entry, start, type} = navigation();
        const connected = entry.secureConnectionStart || entry.connectEnd;
        const value = ms(entry.loadEventEnd! - start);
        client.capture(
          {
            kind: 'navigation',
            value,
            attributes: {navigation_type: type},
            data: {
              redirect: ms(entry.redirectEnd! - entry.redirectStart!),
              dns: ms(entry.domainLookupEnd! - entry.domainLookupStart!),
              tcp: ms(connected! - entry.connectStart!),
              tls: ms(entry.connectEnd! - connected!),
              request: ms(entry.responseStart! - entry.requestStart!),
              response: ms(entry.responseEnd! - entry.responseStart!),
              dom_interactive: ms(entry.domInteractive! - start),
              dom_complete: ms(entry.domComplete! - start),
              load: value,
              transfer_size: entry.transferSize,
              protocol: entry.nextHopProtocol,
              visibility: wasHidden() ? 'hidden' : 'visible',
            },
          },
          page,
        );
      });
      const whenLoaded = (): void => {
        if (document.prerendering) client.listen(document, 'prerenderingchange', whenLoaded);
        else if (document.readyState !== 'complete') client.listen(window, 'load', whenLoaded);
        // The end of the load event is only known after it.
        else setTimeout(capture);
      };
      whenLoaded();
    },
  };
}
