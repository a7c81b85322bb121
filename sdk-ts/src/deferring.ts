import type {Integration} from './types.js';

/**
 * Returns what makes and starts integrations in the next task, one for all: for those that miss nothing by that, because the browser
 * keeps its entries for who asks late. A page that starts should not wait for us.
 */
export function deferring(): (name: string, make: () => Integration) => Integration {
  const waiting: (() => void)[] = [];
  return (name, make) => ({
    name,
    setup(client) {
      let stop: (() => void) | void;
      let closed = false;
      // By the time it starts, the app may have gone on to another page.
      const {page} = client;
      const begin = client.guard(() => {
        if (!closed) stop = make().setup(client, page);
      });
      if (!waiting.length) setTimeout(() => waiting.splice(0).forEach((begin) => begin()));
      waiting.push(begin);
      return () => {
        closed = true;
        stop?.();
      };
    },
  });
}
