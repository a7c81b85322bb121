import type {MetricType} from 'web-vitals';
import {bareUrl} from './bareUrl.js';
import {selector} from './selector.js';

export interface Attribution {
  /** Selector of the element that the metric is about. */
  target?: string | undefined;
  /** The parts that add up to the metric, and what else explains it. Times in ms. */
  parts: Record<string, number | string | undefined>;
}

/**
 * What made a metric what it is. To be asked when it is reported: a browser forgets an element once it left the document.
 * Our own and not `web-vitals/attribution`, which costs another 2.2 kB gzip, most of it for long animation frames.
 */
export function attribution(metric: MetricType): Attribution {
  const {value} = metric;
  switch (metric.name) {
    case 'LCP': {
      // Of a page that came back from the back/forward cache there is no entry.
      const entry = metric.entries[metric.entries.length - 1];
      if (!entry) break;
      const [resource] = entry.url ? (performance.getEntriesByName(entry.url, 'resource') as PerformanceResourceTiming[]) : [];
      const {responseStart: firstByte, start} = navigation();
      const requested = Math.max(firstByte, resource ? (resource.requestStart || resource.startTime) - start : 0);
      const loaded = Math.min(value, Math.max(requested, resource ? resource.responseEnd - start : 0));
      return {
        target: nameOf(entry.element) ?? (entry.id && `#${entry.id}`),
        parts: {
          url: entry.url ? bareUrl(entry.url) : undefined,
          time_to_first_byte: firstByte,
          resource_load_delay: requested - firstByte,
          resource_load_duration: loaded - requested,
          element_render_delay: value - loaded,
        },
      };
    }
    case 'CLS': {
      const [first, ...others] = metric.entries;
      if (!first) break;
      const largest = others.reduce((worst, entry) => (entry.value > worst.value ? entry : worst), first);
      const source = largest.sources?.find(({node}) => node);
      return {
        target: nameOf(source?.node),
        parts: {largest_shift_value: largest.value, largest_shift_time: largest.startTime},
      };
    }
    case 'INP': {
      const [first] = metric.entries;
      if (!first) break;
      const processed = Math.max(...metric.entries.map(({processingEnd}) => processingEnd));
      return {
        target: nameOf(metric.entries.find(({target}) => target)?.target),
        parts: {
          interaction_type: first.name.startsWith('key') ? 'keyboard' : 'pointer',
          interaction_time: first.startTime,
          input_delay: first.processingStart - first.startTime,
          processing_duration: processed - first.processingStart,
          presentation_delay: Math.max(first.startTime + value - processed, 0),
        },
      };
    }
    case 'FCP': {
      const {responseStart: firstByte} = navigation();
      return {parts: {time_to_first_byte: firstByte, first_byte_to_fcp: value - firstByte}};
    }
    case 'TTFB': {
      // Soft navigations, whose entries have none of this, are not asked for.
      const [entry] = metric.entries as PerformanceNavigationTiming[];
      if (!entry) break;
      const {start} = navigation();
      const since = (time: number): number => Math.max(time - start, 0);
      const lookup = since(entry.domainLookupStart);
      const connect = since(entry.connectStart);
      const connected = since(entry.connectEnd);
      return {
        parts: {
          waiting_duration: lookup,
          dns_duration: connect - lookup,
          connection_duration: connected - connect,
          request_duration: value - connected,
        },
      };
    }
  }
  return {parts: {}};
}

/** First byte and activation of the document, in ms; a prerendered page's times count from its activation. */
function navigation(): {responseStart: number; start: number} {
  const [entry] = performance.getEntriesByType('navigation') as (PerformanceNavigationTiming & {activationStart?: number})[];
  const start = entry?.activationStart ?? 0;
  return {responseStart: Math.max((entry?.responseStart ?? 0) - start, 0), start};
}

function nameOf(node: Node | null | undefined): string | undefined {
  const element = node instanceof Element ? node : node?.parentElement;
  return element ? selector(element) : undefined;
}
