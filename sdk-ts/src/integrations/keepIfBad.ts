import type {Integration, MonitorEvent, Page} from '../types.js';

/** Events held back at most; the oldest goes first. */
const MAX_HELD = 200;

/** What `keepIfBad` takes. */
export interface KeepIfBadOptions {
  /** Kinds that are details; `click`, `request`, `resource`, `longtask` and `console` when left out. */
  kinds?: string[] | undefined;
}

/**
 * Holds details back and sends them only if something goes wrong on this page: an error, a poor vital, a rage click. What is held when the
 * page is hidden is let go, uncounted: nothing was wrong with it. To be the last integration, so that final vitals still decide.
 */
export function keepIfBad({kinds = ['click', 'request', 'resource', 'longtask', 'console']}: KeepIfBadOptions = {}): Integration {
  return {
    name: 'keepIfBad',
    setup(client) {
      let held: [MonitorEvent, Page][] = [];
      let bad = false;
      client.process((event, page) => {
        if (['error', 'rage_click'].includes(event.kind) || event.attributes?.rating === 'poor') {
          bad = true;
          for (const detail of held.splice(0)) client.enqueue(...detail);
        }
        if (bad || !kinds.includes(event.kind)) return event;
        held = [...held.slice(1 - MAX_HELD), [event, page]];
        return '';
      });
      client.onLeave((hidden) => {
        if (hidden) held = [];
        else bad = false;
      });
    },
  };
}
