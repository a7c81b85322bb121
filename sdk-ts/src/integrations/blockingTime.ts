import {REQUEST, TASK, blocking, type Span} from '../blocking.js';
import {navigation} from '../navigation.js';
import {observe} from '../observe.js';
import type {Integration} from '../types.js';
import {wasHidden} from '../wasHidden.js';

/** How often it is looked whether the page has come to rest, in ms. */
const INTERVAL = 1_000;
/** Tasks and requests that are looked at; a page that is not at rest after as many will not be measured. */
const MAX_SPANS = 1_000;

/**
 * Captures time to interactive and total blocking time as vitals `TTI` and `TBT` once the page has been quiet for 5 s. A page
 * that is hidden before has neither: half a TBT would look like a good one. Browsers tell of requests when they have ended, so
 * one that is still in flight does not count.
 */
export function blockingTime(): Integration {
  return {
    name: 'blockingTime',
    setup(client, page = client.page) {
      if (wasHidden()) return;
      const spans: Span[] = [];
      const observation = observe(
        client,
        ({entryType, startTime, duration}: PerformanceEntry) => {
          if (spans.length < MAX_SPANS) spans.push([startTime, startTime + duration, entryType === 'longtask' ? TASK : REQUEST]);
        },
        'longtask',
        'resource',
      );
      if (!observation) return;

      const look = client.guard(() => {
        if (!timer) return;
        // A task that has just ended may not have been told of yet; it may also be one too many.
        observation._flush();
        if (spans.length >= MAX_SPANS) return stop();
        const [painted] = performance.getEntriesByName('first-contentful-paint', 'paint');
        const {entry, start, type} = navigation();
        const parsed = entry.domContentLoadedEventEnd;
        const found = painted && parsed && blocking(Math.max(painted.startTime, start), parsed, performance.now(), spans);
        if (!found) return;
        stop();
        capture('TTI', found[0] - start, 3_800, 7_300);
        capture('TBT', found[1], 200, 600);

        function capture(name: string, value: number, good: number, poor: number): void {
          client.capture(
            {
              kind: 'vital',
              name,
              value,
              attributes: {rating: value > poor ? 'poor' : value > good ? 'needs-improvement' : 'good', navigation_type: type},
              data: {id: name + page.id, delta: value, visibility: 'visible'},
            },
            page,
          );
        }
      });
      let timer: ReturnType<typeof setInterval> | void = setInterval(look, INTERVAL);
      const stop = (): void => {
        timer = clearInterval(timer!);
        observation._stop();
      };
      client.onLeave((hidden) => {
        if (!hidden) return;
        look();
        stop();
      });
      return stop;
    },
  };
}
