import {attribution} from './attribution.js';
import {deferring} from './deferring.js';
import {blankScreen} from './integrations/blankScreen.js';
import {blockingTime} from './integrations/blockingTime.js';
import {breadcrumbs, type BreadcrumbsOptions} from './integrations/breadcrumbs.js';
import {clicks} from './integrations/clicks.js';
import {consoleCapture} from './integrations/consoleCapture.js';
import {deadClicks} from './integrations/deadClicks.js';
import {declarative} from './integrations/declarative.js';
import {device} from './integrations/device.js';
import {durableOutbox} from './integrations/durableOutbox.js';
import {errors} from './integrations/errors.js';
import {exposure} from './integrations/exposure.js';
import {forms} from './integrations/forms.js';
import {longTasks} from './integrations/longTasks.js';
import {navigationTiming} from './integrations/navigationTiming.js';
import {pageViews} from './integrations/pageViews.js';
import {rageClicks} from './integrations/rageClicks.js';
import {reports} from './integrations/reports.js';
import {requests} from './integrations/requests.js';
import {resourceErrors} from './integrations/resourceErrors.js';
import {resources} from './integrations/resources.js';
import {scrollDepth} from './integrations/scrollDepth.js';
import {sessions, type SessionsOptions} from './integrations/sessions.js';
import {timeOnPage} from './integrations/timeOnPage.js';
import {webVitals} from './integrations/webVitals.js';
import type {Integration} from './types.js';

/** The options of the default integrations that `init` takes, too. */
export type DefaultOptions = SessionsOptions & BreadcrumbsOptions;

/**
 * What most pages want, in the order in which it is started: who and where first, so that every event says it; then errors, so that none is
 * missed; and page views before what asks for the page that a restore from the back/forward cache begins. What can wait for a moment does.
 */
export function defaultIntegrations(options: DefaultOptions = {}): Integration[] {
  const deferred = deferring();
  return [
    sessions(options),
    device(),
    deferred('durableOutbox', durableOutbox),
    errors(),
    resourceErrors(),
    breadcrumbs(options),
    pageViews(),
    deferred('webVitals', () => webVitals({attribution})),
    deferred('navigationTiming', navigationTiming),
    deferred('longTasks', longTasks),
    deferred('blockingTime', blockingTime),
    deferred('resources', resources),
    requests(),
    clicks(),
    deferred('rageClicks', rageClicks),
    deferred('deadClicks', deadClicks),
    forms(),
    timeOnPage(),
    deferred('scrollDepth', scrollDepth),
    deferred('exposure', exposure),
    declarative(),
    consoleCapture(),
    deferred('reports', reports),
    deferred('blankScreen', blankScreen),
  ];
}
