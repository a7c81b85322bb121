import {createClient} from './client.js';
import {currentClient} from './currentClient.js';
import {defaultIntegrations} from './defaultIntegrations.js';
import {inertClient} from './inertClient.js';
import type {Client, Options} from './types.js';

/**
 * Starts monitoring this page and returns the client. A client that was started before is closed.
 *
 * Never throws: with a wrong DSN, or outside of a browser (server-side rendering), it warns or stays silent and returns a
 * client that does nothing.
 */
export function init(options: Options): Client {
  void currentClient.get().close();
  let client = inertClient;
  if (typeof document !== 'undefined') {
    try {
      const {integrations} = options;
      const chosen = Array.isArray(integrations) ? integrations : defaultIntegrations();
      client = createClient(options, typeof integrations === 'function' ? integrations(chosen) : chosen);
    } catch (error) {
      console.warn('monitor-kit: not started:', error);
    }
  }
  currentClient.set(client);
  return client;
}
