import {bareUrl} from '../bareUrl.js';
import {longest} from '../longest.js';
import {ms} from '../ms.js';
import {observe} from '../observe.js';
import type {Integration} from '../types.js';

/** Resources named per type. */
const MAX_SLOWEST = 3;

interface Summary {
  count: number;
  transfer_size: number;
  duration: number;
  slowest: PerformanceResourceTiming[];
}

/**
 * Captures what the page loaded: one event per type of resource, with the slowest of them. It is captured when the page is
 * hidden or the page view ends, and holds what has come since the last time. Durations in ms, sizes in bytes as transferred.
 */
export function resources(): Integration {
  return {
    name: 'resources',
    setup(client) {
      /** By type; what can ask for a resource is a short list of the browser's. */
      const types = new Map<string, Summary>();
      const onResource = (entry: PerformanceResourceTiming): void => {
        const type = typeOf(entry);
        const summary = types.get(type) ?? {count: 0, transfer_size: 0, duration: 0, slowest: []};
        types.set(type, summary);
        summary.count++;
        summary.transfer_size += entry.transferSize || 0;
        summary.duration = ms(summary.duration + entry.duration);
        summary.slowest = longest([...summary.slowest, entry], MAX_SLOWEST);
      };
      const capture = (): void => {
        types.forEach((summary, name) => {
          const slowest = summary.slowest.map(({name, duration, transferSize}) => ({url: bareUrl(name), duration: ms(duration), size: transferSize}));
          client.capture({kind: 'resource', name, value: slowest[0]!.duration, attributes: {target: slowest[0]!.url}, data: {...summary, slowest}});
        });
        types.clear();
      };
      const observation = observe(client, onResource, 'resource');
      client.onLeave(capture);
      return observation?._stop;
    },
  };
}

/** A `<link>` and a style sheet load all kinds of things; of those, the name tells more than who asked. */
function typeOf({name, initiatorType}: PerformanceResourceTiming): string {
  if (initiatorType === 'xmlhttprequest') return 'xhr';
  if (!/^(link|css)$/.test(initiatorType)) return initiatorType;
  const url = bareUrl(name);
  return /\.(woff2?|[ot]tf)$/i.test(url) ? 'font' : /\.(png|jpe?g|gif|webp|avif|svg)$/i.test(url) ? 'img' : /\.m?js$/i.test(url) ? 'script' : 'css';
}
