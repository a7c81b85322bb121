import {bareUrl} from './bareUrl.js';
import {ms} from './ms.js';
import {selector} from './selector.js';

/** A metric to be explained. */
export interface Metric {
  /** `LCP`, `CLS`, `INP`, `FCP` or `TTFB`. */
  readonly name: string;
  /** Ms; for CLS its score. */
  readonly value: number;
  /** What the browser told of it; there is nothing to explain without, as after a restore from the back/forward cache. */
  readonly entries: readonly PerformanceEntry[];
  /** When the soft navigation began that the metric belongs to, in ms; nothing or 0 for the load. */
  readonly navigationStartTime?: number;
}

/** What made a metric what it is. */
export interface Attribution {
  /** Selector of the element that the metric is about. */
  target?: string | undefined;
  /** The parts that add up to the metric, and what else explains it. Times in ms. */
  parts?: Record<string, unknown>;
}

/** Explains a metric. To be asked when it is reported: a browser forgets an element once it left the document. */
export type Explain = (metric: Metric) => Attribution;

/** What is read of the entries of all types; each has some of it. */
type Entry = PerformanceEventTiming & LargestContentfulPaint & LayoutShift & PerformanceNavigationTiming & Partial<PerformanceLongAnimationFrameTiming>;

/**
 * What made a metric what it is, for `webVitals({attribution})`. Like the metrics it looks on until the page ends.
 * Our own and not `web-vitals/attribution`, which costs more than three times as much.
 */
export function attribution(): Explain {
  let recent: Entry[] = [];
  /** An interaction is decided about a second after it at most; a hundred events and frames reach back far enough. */
  const remember = (entries: PerformanceEntryList): void => {
    recent = [...recent, ...(entries as Entry[])].slice(-100);
  };
  const observer = new PerformanceObserver((list) => remember(list.getEntries()));
  for (const type of ['event', 'long-animation-frame']) {
    // Asking for an unknown type throws nothing, but writes to the page's console.
    if (PerformanceObserver.supportedEntryTypes.includes(type)) observer.observe({type, buffered: true, durationThreshold: 16});
  }

  return ({name, value, entries, navigationStartTime}) => {
    const all = [...entries] as Entry[];
    const [entry] = all;
    if (!entry) return {};
    const {startTime, url} = entry;
    const [load = {} as Partial<PerformanceNavigationTiming>] = performance.getEntriesByType('navigation');
    const start = navigationStartTime || load.activationStart || 0;
    // Of a soft navigation the document is there already.
    const time_to_first_byte = navigationStartTime ? 0 : load.responseStart! - start;
    let node: Node | null | undefined;
    /** The times at which the parts of the metric ended. */
    let ends: Record<string, number> = {};
    let parts: Record<string, unknown> = {};

    if (name === 'CLS') {
      const [largest] = all.sort((a, b) => b.value - a.value) as [Entry];
      node = largest.sources?.find(({node}) => node)?.node;
      parts = {largest_shift: largest.value, time: ms(largest.startTime)};
    } else if (name === 'INP') {
      const end = startTime + value;
      // What web-vitals knows may be delivered to us only now.
      remember(observer.takeRecords());
      // A click is a dozen events, and the work may be in the handlers of any: all count that began between input and paint.
      const events = all.concat(recent.filter(({processingStart}) => processingStart >= startTime && processingStart < end));
      const [script] = recent
        .flatMap(({scripts = []}) => scripts)
        .filter((script) => script.startTime < end && script.startTime + script.duration > startTime)
        .sort((a, b) => b.duration - a.duration);
      node = events.find(({target}) => target)?.target;
      ends = {
        input_delay: Math.min(...events.map(({processingStart}) => processingStart)) - startTime,
        processing_duration: Math.max(...events.map(({processingEnd}) => processingEnd)) - startTime,
        presentation_delay: value,
      };
      parts = {
        event: entry.name,
        time: ms(startTime),
        longest_script: script && {
          url: script.sourceURL && bareUrl(script.sourceURL),
          function: script.sourceFunctionName,
          duration: ms(script.duration),
        },
      };
    } else if (name === 'LCP') {
      const [resource] = performance.getEntriesByName(url, 'resource') as PerformanceResourceTiming[];
      node = entry.element;
      parts = {url: url && bareUrl(url)};
      ends = {
        time_to_first_byte,
        load_delay: (resource?.requestStart || resource?.startTime)! - start,
        load_duration: resource?.responseEnd! - start,
        render_delay: value,
      };
    } else if (name === 'FCP') {
      ends = {time_to_first_byte, render_delay: value};
    } else {
      ends = {
        waiting: entry.domainLookupStart - start,
        dns: entry.connectStart - start,
        connection: entry.connectEnd - start,
        request: value,
      };
    }
    // The durations between these times add up to the metric; a part whose end is not known took no time.
    let begin = 0;
    for (const part in ends) begin += parts[part] = ms(Math.min(ends[part]!, value) - begin);
    // Text shifts, too; its element is named.
    if (!(node instanceof Element)) node = node?.parentElement;
    return {target: node ? selector(node as Element) : undefined, parts};
  };
}
