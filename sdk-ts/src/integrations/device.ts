import type {Integration} from '../types.js';

/** Tells the size of screen and window, language, kind of connection and time zone. The browser's name comes with each request anyway. */
export function device(): Integration {
  return {
    name: 'device',
    setup(client) {
      let last: string;
      const look = (): void => {
        const device = {
          screen: `${screen.width}x${screen.height}`,
          viewport: `${innerWidth}x${innerHeight}`,
          language: navigator.language,
          // Not in Firefox and Safari.
          connection: (navigator as {connection?: {effectiveType?: string}}).connection?.effectiveType,
          timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        };
        // Envelopes are told apart by their scope, which is why it is only replaced when something changed.
        if (last !== (last = JSON.stringify(device))) client.scope = {...client.scope, device};
      };
      look();
      client.onLeave(look);
    },
  };
}
