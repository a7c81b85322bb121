/**
 * The browser SDK of Monitor Kit. `init` starts it with all that is useful for most, `start` with what you choose; the functions beside them
 * speak to the client that was started last, and do nothing before.
 */
export {init, type InitOptions} from './init.js';
export {defaultIntegrations, type DefaultOptions} from './defaultIntegrations.js';
export * from './core.js';
export {attribution, type Attribution, type Explain, type Metric} from './attribution.js';
export {businessCode, type Answered} from './businessCode.js';
export {traceparent} from './traceparent.js';
export type {Rules} from './matches.js';
export {blankScreen, type BlankScreenOptions} from './integrations/blankScreen.js';
export {blockingTime} from './integrations/blockingTime.js';
export {breadcrumbs, type BreadcrumbsOptions} from './integrations/breadcrumbs.js';
export {clicks, type ClicksOptions} from './integrations/clicks.js';
export {consent, optIn, optOut, type ConsentOptions} from './integrations/consent.js';
export {consoleCapture, type ConsoleOptions} from './integrations/consoleCapture.js';
export {deadClicks} from './integrations/deadClicks.js';
export {declarative} from './integrations/declarative.js';
export {device} from './integrations/device.js';
export {durableOutbox} from './integrations/durableOutbox.js';
export {errors} from './integrations/errors.js';
export {exposure} from './integrations/exposure.js';
export {filters, type FiltersOptions} from './integrations/filters.js';
export {forms} from './integrations/forms.js';
export {keepIfBad, type KeepIfBadOptions} from './integrations/keepIfBad.js';
export {longTasks} from './integrations/longTasks.js';
export {navigationTiming} from './integrations/navigationTiming.js';
export {pageViews} from './integrations/pageViews.js';
export {rageClicks} from './integrations/rageClicks.js';
export {reports} from './integrations/reports.js';
export {requests, type Exchange, type RequestsOptions} from './integrations/requests.js';
export {resourceErrors} from './integrations/resourceErrors.js';
export {resources} from './integrations/resources.js';
export {scrollDepth} from './integrations/scrollDepth.js';
export {sessions, type SessionsOptions} from './integrations/sessions.js';
export {timeOnPage} from './integrations/timeOnPage.js';
export {webVitals, type WebVitalsOptions} from './integrations/webVitals.js';
