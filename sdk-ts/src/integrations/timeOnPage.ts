import type {Integration} from '../types.js';

/** ms between two looks at the clock, and the most that can have passed between them: more means that the device slept. */
const STEP = 10_000;
const MAX_STEP = 2 * STEP;
/** ms that are worth an event. A page from the back/forward cache is visible for a moment before its new view begins. */
const LEAST = 100;

/**
 * Captures how long each page view was visible, in ms, when the page is hidden or left or another view begins. A page that is
 * shown again adds another event: the time on a page view is the sum of its events.
 */
export function timeOnPage(): Integration {
  return {
    name: 'timeOnPage',
    setup(client) {
      let since = 0;
      let visible = false;
      let value = 0;

      const look = (): void => {
        const now = performance.now();
        if (visible) value += Math.min(now - since, MAX_STEP);
        since = now;
        visible = document.visibilityState !== 'hidden';
      };

      look();
      client.listen(document, 'visibilitychange', look);
      client.onLeave(() => {
        look();
        if (value < LEAST) return;
        client.capture({kind: 'time_on_page', value: Math.round(value)});
        value = 0;
      });
      const timer = setInterval(look, STEP);
      return () => clearInterval(timer);
    },
  };
}
