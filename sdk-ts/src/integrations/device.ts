import type {Integration} from '../types.js';

/** ms in which a page has better things to do. */
const DELAY = 1_000;

/** Tells the size of screen and window, language, kind of connection and time zone. The browser's name comes with each request anyway. */
export function device(): Integration {
  return {
    name: 'device',
    setup(client) {
      let timezone: string | undefined;
      let last: string;
      const look = (): void => {
        const device = {
          screen: `${screen.width}x${screen.height}`,
          viewport: `${innerWidth}x${innerHeight}`,
          language: navigator.language,
          // Not in Firefox and Safari.
          connection: (navigator as {connection?: {effectiveType?: string}}).connection?.effectiveType,
          timezone,
        };
        // Envelopes are told apart by their scope, which is why it is only replaced when something changed.
        if (last !== (last = JSON.stringify(device))) client.scope = {...client.scope, device};
      };
      look();
      client.onLeave(look);
      // The first question for the time zone loads tables, which takes some 10 ms. It joins what was captured before it.
      const timer = setTimeout(
        client.guard(() => {
          timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
          Object.assign(client.scope.device!, {timezone});
          last = JSON.stringify(client.scope.device);
        }),
        DELAY,
      );
      return () => clearTimeout(timer);
    },
  };
}
