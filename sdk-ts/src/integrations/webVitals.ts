import {onCLS, onFCP, onINP, onLCP, onTTFB, type MetricType} from 'web-vitals';
import {attribution} from '../attribution.js';
import type {Integration, NewEvent, Page} from '../types.js';

/** A metric as it was reported last; web-vitals goes on writing into its own object. */
interface Report {
  id: string;
  value: number;
  event: NewEvent;
  page: Page;
}

/**
 * Captures LCP, CLS, INP, FCP and TTFB, with the element and the parts that made them.
 *
 * FCP and TTFB are captured when known. The others can change until the page is hidden, so their latest value is kept and
 * captured then. A page that is shown again can get a worse CLS or INP; that is captured at the next hiding, with the same
 * `data.id`. All belong to the page that was loaded, whatever the address has become since.
 */
export function webVitals(): Integration {
  return {
    name: 'webVitals',
    setup(client) {
      const waiting = new Map<string, Report>();
      /** Values already captured, by the id of the metric: `delta` is the difference to them. */
      const captured = new Map<string, number>();
      let loaded = client.page;
      let active = true;

      const describe = (metric: MetricType): Report => {
        const {name, id, value, rating, navigationType} = metric;
        const {target, parts} = attribution(metric);
        for (const [key, part] of Object.entries(parts)) {
          // Timestamps carry a dozen digits of floating-point noise.
          if (typeof part === 'number') parts[key] = Math.round(part * 1e4) / 1e4;
        }
        const attributes = {rating, target, navigation_type: navigationType};
        return {id, value, event: {kind: 'vital', name, value, attributes, data: {id, attribution: parts}}, page: loaded};
      };
      const capture = ({id, value, event, page}: Report): void => {
        const delta = value - (captured.get(id) ?? 0);
        if (captured.has(id) && !delta) return;
        captured.set(id, value);
        client.capture({...event, data: {...event.data, delta}}, page);
      };
      const captureWaiting = (): void => {
        const reports = [...waiting.values()];
        waiting.clear();
        reports.forEach(capture);
      };

      const now = client.guard((metric: MetricType) => {
        if (active) capture(describe(metric));
      });
      const later = client.guard((metric: MetricType) => {
        if (active) waiting.set(metric.id, describe(metric));
      });
      // With its own "report when final", web-vitals forgets an interaction whose idle callback has not run when the page is
      // hidden: it reports first and counts that interaction after. Following all changes and choosing the moment here does not.
      const options = {reportAllChanges: true};
      onFCP(now);
      onTTFB(now);
      onLCP(later, options);
      onCLS(later, options);
      onINP(later, options);

      // A restore from the back/forward cache starts new metrics, which belong to the page that it begins.
      const onShow = client.guard((event: PageTransitionEvent) => {
        if (event.persisted) loaded = client.page;
      });
      addEventListener('pageshow', onShow, true);
      const stopHidden = client.onHidden(captureWaiting);
      return () => {
        captureWaiting();
        active = false;
        stopHidden();
        removeEventListener('pageshow', onShow, true);
      };
    },
  };
}
