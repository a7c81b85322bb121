import {setUser} from './api.js';
import {defaultIntegrations, type DefaultOptions} from './defaultIntegrations.js';
import {start} from './start.js';
import {autoTransport} from './transport/auto.js';
import type {Client, Integration, Options, User} from './types.js';

/** What `init` takes. With an array as `integrations`, `sampleRate` and `beforeBreadcrumb` are options of `sessions` and `breadcrumbs` in it. */
export interface InitOptions extends Omit<Options, 'integrations'>, DefaultOptions {
  /** The integrations to run, or what to make of the default ones. */
  integrations?: Integration[] | ((defaults: Integration[]) => Integration[]) | undefined;
  /** Who uses the page, see `setUser`. */
  user?: User | undefined;
}

/**
 * Starts monitoring this page with all that is useful for most and returns the client. To ship less, `start` with the integrations that
 * you name. Never throws, see `start`.
 */
export function init({integrations, user, ...options}: InitOptions): Client | undefined {
  const chosen = Array.isArray(integrations) ? integrations : defaultIntegrations(options);
  const client = start({
    transports: [autoTransport],
    ...options,
    integrations: typeof integrations === 'function' ? integrations(chosen) : chosen,
  });
  if (user) setUser(user);
  return client;
}
