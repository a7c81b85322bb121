import type {Integration, Scope} from '../types.js';

/** ms in which a page has better things to do. */
const DELAY = 1_000;

/** Tells the size of screen and window, language, kind of connection and time zone. The browser's name comes with each request anyway. */
export function device(): Integration {
  return {
    name: 'device',
    setup(client) {
      let timezone: string | undefined;
      let device: Scope['device'];
      // Guarded: a page may have put something else in the place of `screen`, and events are worth more than that.
      const look = client.guard(() => {
        const seen = {
          screen: `${screen.width}x${screen.height}`,
          viewport: `${innerWidth}x${innerHeight}`,
          language: navigator.language,
          // Not in Firefox and Safari.
          connection: (navigator as {connection?: {effectiveType?: string}}).connection?.effectiveType,
          timezone,
        };
        if (JSON.stringify(seen) !== JSON.stringify(device)) device = seen;
      });
      client.process((event) => {
        if (!device) {
          device = {};
          // With the first event: asked while the page starts, the size of the window would cost a layout.
          look();
        }
        // Envelopes are told apart by their scope, which is why it is only replaced when something changed.
        if (client.scope.device !== device) client.scope = {...client.scope, device};
        return event;
      });
      client.onLeave(look);
      // The first question for the time zone loads tables, which takes some 10 ms. It joins what was captured before it.
      const timer = setTimeout(
        client.guard(() => {
          timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
          if (device) Object.assign(device, {timezone});
        }),
        DELAY,
      );
      return () => clearTimeout(timer);
    },
  };
}
