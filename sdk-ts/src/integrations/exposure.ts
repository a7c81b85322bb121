import {selector} from '../selector.js';
import type {Integration} from '../types.js';

const ATTRIBUTE = 'data-monitor-expose';
/** ms that half of an element has to be visible without a break. */
const DURATION = 1_000;
/** ms from a change of the document to the search for new elements. */
const DELAY = 500;

/**
 * Captures that an element with `data-monitor-expose` was seen: half of it for a second, once per page view. The attribute is
 * the name of the event. Elements may come later, but not inside of a shadow root; one that is more than twice as large as the
 * window is never half visible, so mark something smaller in it.
 */
export function exposure(): Integration {
  return {
    name: 'exposure',
    setup(client) {
      /** What the browser told last of the elements that are watched or were captured on this page view. */
      let told = new WeakMap<Element, IntersectionObserverEntry>();
      let delay: ReturnType<typeof setTimeout>;
      /** When the page was hidden last, in ms since the load. */
      let hiddenAt = 0;

      const judge = client.guard((entry: IntersectionObserverEntry) => {
        const {target} = entry;
        if (told.get(target) !== entry) return;
        intersections.unobserve(target);
        // A look at another tab is a break; observed anew, the element is told of again once the page is drawn again.
        if (entry.time <= hiddenAt) return intersections.observe(target);
        client.capture({
          kind: 'exposure',
          attributes: {target: selector(target)},
          name: target.getAttribute(ATTRIBUTE) || undefined,
        });
      });
      const intersections = new IntersectionObserver(
        (entries) => {
          for (const entry of entries) {
            told.set(entry.target, entry);
            if (entry.intersectionRatio >= 0.5) setTimeout(judge, DURATION, entry);
          }
        },
        {threshold: 0.5},
      );
      const search = (): void => {
        for (const element of document.querySelectorAll(`[${ATTRIBUTE}]`)) {
          if (!told.has(element)) intersections.observe(element);
        }
        mutations.observe(document, {subtree: true, childList: true});
      };
      // Hears of one change, then of none until the search, so that a busy page pays for two searches a second at most.
      const mutations = new MutationObserver(() => {
        mutations.disconnect();
        delay = setTimeout(search, DELAY);
      });
      const stop = (): void => {
        clearTimeout(delay);
        told = new WeakMap();
        mutations.disconnect();
        intersections.disconnect();
      };

      search();
      client.onLeave((hidden) => {
        if (hidden) hiddenAt = performance.now();
        else {
          stop();
          search();
        }
      });
      return stop;
    },
  };
}
