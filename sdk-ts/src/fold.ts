import type {Client, Kind, NewEvent} from './types.js';

/** Different events within a minute; what is beyond is counted. */
const MAX_DIFFERENT = 100;
const MINUTE = 60_000;

/**
 * Sends the first of events that say the same at once, and its repeats as one event, with their number as its weight: after a
 * minute, or when the page is hidden or gives way to another; with the time of the last one.
 */
export function fold(client: Client, kind: Kind): void {
  const seen = new Map<string, NewEvent & {weight: number}>();

  function flush(): void {
    seen.forEach((repeats) => repeats.weight && client.capture(repeats));
    seen.clear();
  }

  client.process((event) => {
    if (event.kind !== kind || event.data?.folded) return event;
    const {id, time, weight, ...rest} = {...event, data: {...event.data, breadcrumbs: undefined, folded: true}};
    const key = JSON.stringify(rest);
    const repeats = seen.get(key);
    if (repeats) {
      repeats.weight++;
      repeats.time = time;
      return '';
    }
    if (!seen.size) setTimeout(flush, MINUTE);
    if (seen.size >= MAX_DIFFERENT) return 'repeated';
    seen.set(key, {...rest, weight: 0});
    return event;
  });
  client.onLeave(flush);
}
