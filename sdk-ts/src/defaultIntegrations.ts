import {clicks} from './integrations/clicks.js';
import {errors} from './integrations/errors.js';
import {pageViews} from './integrations/pageViews.js';
import {requests} from './integrations/requests.js';
import {resourceErrors} from './integrations/resourceErrors.js';
import {webVitals} from './integrations/webVitals.js';
import type {Integration} from './types.js';

/**
 * All integrations, in the order they are started: errors first, so that nothing is missed, and page views before web
 * vitals, which ask for the page that a restore from the back/forward cache begins.
 */
export function defaultIntegrations(): Integration[] {
  return [errors(), resourceErrors(), pageViews(), webVitals(), clicks(), requests()];
}
