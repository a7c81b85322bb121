import {patch} from '../patch.js';
import type {Integration, Page} from '../types.js';

/**
 * Captures page views: the load, each change of the address by a single-page app or within the page, and each return from
 * the back/forward cache. `replaceState` that stays on the same path, but for a slash at its end, is bookkeeping of the page or
 * its router, not a view.
 */
export function pageViews(): Integration {
  return {
    name: 'pageViews',
    setup(client) {
      let address = location.href;
      /** Until its view is captured. */
      let first: Page | void;

      const view = client.guard((type: string, page: Page) => {
        client.capture({kind: 'page_view', attributes: {navigation_type: type}}, page);
        client.addBreadcrumb({category: 'navigation', message: page.url});
      });
      /** A view, if the address is another one now. */
      const moved = client.guard((type: string) => {
        const from = address;
        const ignored = type === 'replace' ? /\/?([?#].*)?$/ : '';
        address = location.href;
        if (address.replace(ignored, '') !== from.replace(ignored, '')) view(type, client.startPage(''));
      });
      const load = (): void => {
        first = first && view('load', first);
      };
      const undo = ['push', 'replace'].map((type) =>
        patch(history as any, type + 'State', (original) => function (...args) {
          const result: unknown = original.apply(this, args);
          moved(type);
          return result;
        }),
      );
      // For what goes past the history: `navigation.navigate`, and links that a listener intercepts. A step within the page is left to `popstate`.
      const {navigation} = window as any;
      // Where there is none, the name may be that of an element.
      if (navigation?.currentEntry) {
        client.listen(navigation, 'currententrychange', ({navigationType: type}: any) => {
          if (/sh|pl/.test(type) && location.href.split('#')[0] !== address.split('#')[0]) moved(type);
        });
      }
      // Also for a step within the page.
      client.listen(window, 'popstate', () => moved('pop'));
      client.listen(window, 'pageshow', ({persisted}: PageTransitionEvent) => {
        if (persisted) view('bfcache', client.startPage(`${document.referrer}`));
      });
      // The first page already exists: events before its view must belong to it. One that is never shown was never viewed.
      if ((document as {prerendering?: boolean}).prerendering) client.listen(document, 'prerenderingchange', () => view('prerender', client.page));
      // Later, because the first event of a page reads the storage, which takes some milliseconds of its start.
      else {
        first = client.page;
        setTimeout(load);
        // An app may go on at once, for instance to its login.
        client.onLeave((hidden) => hidden || load());
      }
      return () => undo.forEach((stop) => stop());
    },
  };
}
