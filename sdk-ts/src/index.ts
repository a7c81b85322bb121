/**
 * The browser SDK of Monitor Kit. `init` starts it; the functions beside it speak to the client that was started last, and
 * do nothing before.
 */
export {init} from './init.js';
export {captureException, captureMessage, track, addBreadcrumb, setUser, setTag, flush, close} from './shortcuts.js';
export {defaultIntegrations} from './defaultIntegrations.js';
export {errors} from './integrations/errors.js';
export {resourceErrors} from './integrations/resourceErrors.js';
export {pageViews} from './integrations/pageViews.js';
export {webVitals} from './integrations/webVitals.js';
export {clicks} from './integrations/clicks.js';
export {requests, type RequestsOptions} from './integrations/requests.js';
export type {
  Breadcrumb,
  Client,
  ExceptionHint,
  Integration,
  Kind,
  Level,
  MonitorEvent,
  NewEvent,
  Options,
  Page,
  Properties,
  User,
} from './types.js';
