import type {Integration} from './types.js';

/**
 * The same integration, started in a task of its own: for what misses nothing by that, because the browser keeps its entries for who
 * asks late. A page that starts should not wait for us.
 */
export function deferred({name, setup}: Integration): Integration {
  return {
    name,
    setup(client) {
      let stop: (() => void) | void;
      const timer = setTimeout(
        client.guard(() => {
          stop = setup(client);
        }),
      );
      return () => {
        clearTimeout(timer);
        stop?.();
      };
    },
  };
}
