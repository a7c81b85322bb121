import {selector} from '../selector.js';
import {text} from '../text.js';
import type {Integration} from '../types.js';

/** What a user means to click when they hit the icon inside of it. */
const CLICKABLE = 'a,button,input,select,textarea,summary,label,[role=button],[role=link],[data-testid]';

/**
 * Captures clicks: where, and on which element. Its text is only read inside of an element with `data-monitor-text`,
 * because texts of a page may be anybody's private matter.
 */
export function clicks(): Integration {
  return {
    name: 'clicks',
    setup(client) {
      const onClick = client.guard((event: MouseEvent) => {
        // Inside of an open shadow root, `target` is only its host.
        const hit = event.composedPath()[0] ?? event.target;
        if (!(hit instanceof Element)) return;
        const element = hit.closest(CLICKABLE) ?? hit;
        const target = selector(element);
        const allowed = element.closest('[data-monitor-text]');
        client.capture({
          kind: 'click',
          name: 'click',
          attributes: {target},
          data: {
            x: Math.round(event.clientX),
            y: Math.round(event.clientY),
            text: allowed ? text((element.textContent ?? '').trim().replace(/\s+/g, ' '), 100) : undefined,
          },
        });
        client.addBreadcrumb({category: 'click', message: target});
      });
      const options = {capture: true, passive: true};
      addEventListener('click', onClick, options);
      return () => removeEventListener('click', onClick, options);
    },
  };
}
