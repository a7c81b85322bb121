import {act} from '../act.js';
import {clicked, CONTROL, meant} from '../clicked.js';
import {closest} from '../closest.js';
import {text} from '../text.js';
import type {Integration} from '../types.js';

/** Where a user writes, and what the page says is private. */
const PRIVATE = CONTROL + ',[data-monitor-mask]';

/** What `clicks` takes. */
export interface ClicksOptions {
  /** Elements whose text may be read, with all that is inside of them; `[data-monitor-text]` by default. */
  textOf?: string;
}

/**
 * Captures clicks: where, and on which element. Its text is only read inside of an element with `data-monitor-text`,
 * because texts of a page may be anybody's private matter; a text with a field or a masked element in it is never read.
 */
export function clicks({textOf = '[data-monitor-text]'}: ClicksOptions = {}): Integration {
  return {
    name: 'clicks',
    setup(client) {
      client.listen(window, 'click', (event: MouseEvent) => {
        const hit = clicked(event);
        if (!hit) return;
        const element = meant(hit);
        const readable = closest(element, textOf) && !closest(element, PRIVATE) && !element.querySelector(PRIVATE);
        act(client, element, {
          kind: 'click',
          data: {
            x: event.clientX,
            y: event.clientY,
            page_x: event.pageX,
            page_y: event.pageY,
            text: readable ? text(element.textContent!.trim().replace(/\s+/g, ' '), 100) : undefined,
          },
        });
      });
    },
  };
}
