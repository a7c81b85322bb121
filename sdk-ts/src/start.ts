import {createClient} from './client.js';
import {current} from './current.js';
import type {Client, Options} from './types.js';

/**
 * Starts monitoring this page with exactly the integrations of `options` and returns the client. One that was started before is closed.
 *
 * Never throws: with a wrong DSN it warns and returns undefined, on a server it only returns undefined. Then all functions of
 * the package do nothing.
 */
export function start(options: Options): Client | undefined {
  void current._client?.close();
  current._client = undefined;
  try {
    if (typeof document === 'object') current._client = createClient(options);
  } catch (error) {
    console.warn(error);
  }
  return current._client;
}
