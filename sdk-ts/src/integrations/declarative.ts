import {clicked} from '../clicked.js';
import {closest} from '../closest.js';
import type {Integration, Properties} from '../types.js';

/**
 * Tracks what the page declares: a click on an element with `data-monitor-track="name"`, or inside of it, is tracked with its
 * `data-monitor-prop-*` attributes as properties; with `data-monitor-on="submit"` or `"change"` that event is. Of several nested
 * ones only the innermost counts. Submit and change do not leave shadow roots.
 */
export function declarative(): Integration {
  return {
    name: 'declarative',
    setup(client) {
      for (const type of ['click', 'submit', 'change']) {
        client.listen(window, type, (event) => {
          const element = closest(type === 'click' ? clicked(event) : (event.target as Element), '[data-monitor-track]');
          if (!element || (element.getAttribute('data-monitor-on') ?? 'click') !== type) return;
          const data: Properties = {};
          for (const name of element.getAttributeNames()) {
            const [, key] = name.split('data-monitor-prop-');
            if (key) data[key] = element.getAttribute(name);
          }
          client.capture({kind: 'track', name: element.getAttribute('data-monitor-track')!, data});
        });
      }
    },
  };
}
