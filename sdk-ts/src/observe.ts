import type {Client} from './types.js';

export interface Observation {
  /** Hands over what the browser has not delivered yet. */
  _flush(): void;
  /** The same, for the last time. */
  _stop(): void;
}

/**
 * Watches performance entries of these types, those before now included, but never the SDK's own requests; undefined where the
 * browser does not know the first type. What is still undelivered when the page is hidden or another page view begins comes
 * first: register callbacks for those afterwards.
 */
export function observe(client: Client, onEntry: (entry: any) => void, ...types: string[]): Observation | undefined {
  // Asking for an unknown type throws nothing, but writes to the page's console.
  if (!PerformanceObserver.supportedEntryTypes.includes(types[0]!)) return;
  const take = (entries: PerformanceEntryList): void => entries.forEach((entry) => entry.name.startsWith(client.endpoint) || onEntry(entry));
  const observer = new PerformanceObserver(client.guard((list) => take(list.getEntries())));
  const flush = (): void => take(observer.takeRecords());
  // All browsers know `resource`, the only one that comes second.
  for (const type of types) observer.observe({type, buffered: true});
  client.onLeave(flush);
  return {
    _flush: flush,
    _stop() {
      flush();
      observer.disconnect();
    },
  };
}
