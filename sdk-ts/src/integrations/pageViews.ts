import {patch} from '../patch.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Integration} from '../types.js';

/**
 * Captures page views: the load, each change of the address by a single-page app or within the page, and each return from
 * the back/forward cache. `replaceState` that stays on the same path is bookkeeping of the page, not a view.
 */
export function pageViews(): Integration {
  return {
    name: 'pageViews',
    setup(client) {
      let address = location.href;
      let active = true;

      const view = client.guard((navigationType: string): void => {
        if (!active) return;
        const from = address;
        address = location.href;
        // The first page already exists: events before the view must belong to it.
        if (navigationType !== 'load') client.startPage(navigationType === 'bfcache' ? document.referrer : from);
        client.capture({kind: 'page_view', name: 'page_view', attributes: {navigation_type: navigationType}});
        client.addBreadcrumb({
          category: 'navigation',
          message: scrubUrl(address),
          data: {type: navigationType, from: scrubUrl(from)},
        });
      });

      const afterHistory = (navigationType: 'push' | 'replace'): void => {
        const next = location.href;
        if (navigationType === 'push' ? next !== address : new URL(next).pathname !== new URL(address).pathname) view(navigationType);
        else address = next;
      };
      const watch = (navigationType: 'push' | 'replace') => (original: (...args: unknown[]) => unknown) =>
        function (this: unknown, ...args: unknown[]): unknown {
          const result = original.apply(this, args);
          guardedAfterHistory(navigationType);
          return result;
        };
      const guardedAfterHistory = client.guard(afterHistory);

      // A step within the page fires both events, `popstate` first: it leaves what only changes the fragment to `hashchange`.
      const onPop = (): void => {
        if (withoutHash(location.href) !== withoutHash(address)) view('pop');
      };
      const onHash = (): void => {
        if (location.href !== address) view('hash');
      };
      const onShow = (event: PageTransitionEvent): void => {
        if (event.persisted) view('bfcache');
      };
      const onLoad = (): void => view('load');

      const undo = [
        patch(history, 'pushState', watch('push')),
        patch(history, 'replaceState', watch('replace')),
        listen('popstate', onPop),
        listen('hashchange', onHash),
        listen('pageshow', onShow as EventListener),
      ];
      // A prerendered page that is never shown was never viewed.
      if ((document as {prerendering?: boolean}).prerendering) {
        document.addEventListener('prerenderingchange', onLoad, {once: true});
      } else {
        onLoad();
      }
      return () => {
        active = false;
        undo.forEach((stop) => stop());
      };
    },
  };
}

/** Captures, so that the new page exists before other listeners make events for it. */
function listen(type: string, listener: EventListener): () => void {
  addEventListener(type, listener, true);
  return () => removeEventListener(type, listener, true);
}

function withoutHash(url: string): string {
  return url.replace(/#.*$/s, '');
}
