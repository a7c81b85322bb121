import {onCLS, onFCP, onINP, onLCP, onTTFB, type MetricType} from 'web-vitals';
import type {Explain} from '../attribution.js';
import type {Integration, NewEvent, Page} from '../types.js';
import {wasHidden} from '../wasHidden.js';

/** What `webVitals` takes. */
export interface WebVitalsOptions {
  /** Adds the element and the parts that made each metric: the `attribution` of this package. */
  attribution?: (() => Explain) | undefined;
  /** Measures what users see as pages of a single-page app as such, where the browser can tell; false when left out. */
  softNavigations?: boolean | undefined;
}

type Report = NewEvent & {readonly data: {readonly delta: number}};

/**
 * Captures FP, FCP, LCP, CLS, INP and TTFB, by the rules of the web-vitals library.
 *
 * FP, FCP and TTFB are captured when known. The others can change until the page is hidden, so their latest value is kept and
 * captured then. A page that is shown again can get a worse CLS or INP; that is captured at the next hiding, with the same
 * `data.id`. All belong to the page view that the load, the soft navigation or the restore began, whatever the address has
 * become since. `data.visibility` is `hidden` when the page had been hidden before.
 *
 * An INP below 16 says that no interaction took the 16 ms from which browsers tell of them: its value is the duration of the
 * first one, in steps of 8 ms, or 8 where only their number is known.
 */
export function webVitals({attribution, softNavigations}: WebVitalsOptions = {}): Integration {
  return {
    name: 'webVitals',
    setup(client, page = client.page) {
      const explain = attribution?.();
      /** The latest of each metric that is not captured yet, by its id. */
      const pending = new Map<string, [event: Report, page: Page]>();
      /** When `page` began: with the load (at 0), a soft navigation, or a restore from the back/forward cache, in ms since the load. */
      let start = 0;
      let hidden = wasHidden();
      /** The last interaction of a page view becomes known when the next one has begun. */
      let before = page;

      const flush = (): void => {
        pending.forEach((held) => client.capture(...held));
        pending.clear();
      };
      const report = client.guard((metric: MetricType) => {
        const {name, value, id, rating, navigationType, navigationStartTime = 0} = metric;
        if (navigationStartTime > start) {
          flush();
          start = navigationStartTime;
          before = page;
          page = client.page;
          hidden = false;
        }
        const onPage = navigationStartTime < start ? before : page;
        const {target, parts} = explain?.(metric) ?? {};
        const event = {
          kind: 'vital',
          name,
          value,
          attributes: {rating, target, navigation_type: navigationType},
          data: {
            id: name + id,
            // What web-vitals told before and was not captured is part of the growth.
            delta: metric.delta + (pending.get(id)?.[0].data.delta ?? 0),
            visibility: hidden ? 'hidden' : 'visible',
            attribution: parts,
          },
        };
        // FP, FCP and TTFB are what they are; the others can change.
        if (/F/.test(name)) client.capture(event, onPage);
        else pending.set(id, [event, onPage]);
      });

      // With its own "report when final", web-vitals forgets an interaction whose idle callback has not run when the page is
      // hidden: it reports first and counts that interaction after. Following all changes and choosing the moment here does not.
      const options = {reportAllChanges: true, durationThreshold: 16, reportSoftNavs: !!softNavigations};
      onFCP((metric) => {
        // Only a load has entries.
        const [contentful] = metric.entries;
        const [first] = performance.getEntriesByName('first-paint', 'paint');
        if (contentful && first) {
          // What was painted before a prerendered page was shown counts as painted at once.
          const value = Math.max(first.startTime - contentful.startTime + metric.value, 0);
          report({...metric, name: 'FP' as 'FCP', value, delta: value, entries: []});
        }
        report(metric);
      }, options);
      onTTFB(report, options);
      onLCP(report, options);
      onCLS(report, options);
      onINP(report, options);

      client.onLeave((isHidden) => {
        if (!isHidden) return;
        flush();
        hidden = true;
      });
    },
  };
}
