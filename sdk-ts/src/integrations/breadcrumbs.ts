import {plain} from '../plain.js';
import {text} from '../text.js';
import type {Breadcrumb, Integration} from '../types.js';

const MAX_BREADCRUMBS = 30;

/** What `breadcrumbs` takes. */
export interface BreadcrumbsOptions {
  /** Last word on each breadcrumb: return it, changed or not, to keep it. When it throws there is none: it may be there to remove a secret. */
  beforeBreadcrumb?: ((breadcrumb: Breadcrumb) => Breadcrumb | null | undefined | void) | undefined;
}

/** Keeps the last 30 traces that the page and other integrations leave, and gives them to every error. */
export function breadcrumbs({beforeBreadcrumb = (breadcrumb) => breadcrumb}: BreadcrumbsOptions = {}): Integration {
  return {
    name: 'breadcrumbs',
    setup(client) {
      let trail: unknown[] = [];
      client.addBreadcrumb = client.guard((breadcrumb) => {
        if (client.busy || client.paused) return;
        const answer = client.ask(beforeBreadcrumb, {time: Date.now(), category: 'custom', ...breadcrumb, message: text(breadcrumb.message, 500)});
        // A promise, of an `async` hook, has none.
        if (typeof answer?.message === 'string') trail = [...trail.slice(1 - MAX_BREADCRUMBS), plain(answer)];
      });
      client.process((event) => {
        if (event.kind !== 'error' || event.data?.folded) return event;
        // An error must not become too large to be sent.
        while (JSON.stringify(trail).length > 30_000) trail.shift();
        const breadcrumbs = trail;
        client.addBreadcrumb({category: 'error', message: `${event.name}: ${event.data?.message}`});
        return {...event, data: {...event.data, breadcrumbs}};
      });
    },
  };
}
