import {setUser} from './api.js';
import {defaultIntegrations, type DefaultOptions} from './defaultIntegrations.js';
import {start} from './start.js';
import {autoTransport} from './transport/auto.js';
import {worded} from './worded.js';
import type {Client, Integration, Options, User} from './types.js';

/** What `init` takes. With an array as `integrations`, `sampleRate` and `beforeBreadcrumb` are options of `sessions` and `breadcrumbs` in it. */
export interface InitOptions extends Omit<Options, 'integrations'>, DefaultOptions {
  /** The integrations to run, or what to make of the default ones. */
  integrations?: Integration[] | ((defaults: Integration[]) => Integration[]) | undefined;
  /** Who uses the page, see `setUser`. */
  user?: User | string | number | undefined;
}

/**
 * Starts monitoring this page with all that is useful for most and returns the client. To ship less, `start` with the integrations that
 * you name. Never throws, see `start`.
 */
export function init(options: InitOptions): Client | undefined {
  const {integrations, user, release, environment, route, ...others} = options ?? {};
  const client = start({
    transports: [autoTransport],
    ...others,
    release: worded(release),
    environment: worded(environment),
    route: (url) => worded(route?.(url)),
    // Read by `start`, which catches what the function throws.
    get integrations() {
      const chosen = Array.isArray(integrations) ? integrations : defaultIntegrations(others);
      return typeof integrations === 'function' ? integrations(chosen) : chosen;
    },
  });
  if (user != null) setUser(user);
  return client;
}
