// What is bundled here: the code that a user of each entry, or of each rival, writes. Everything else in this folder works from this table.
const DSN = 'https://key@host/1';

const FULL = [
  'breadcrumbs', 'clicks', 'deadClicks', 'declarative', 'durableOutbox', 'errors', 'exposure', 'forms', 'pageViews',
  'rageClicks', 'requests', 'scrollDepth', 'sessions', 'timeOnPage', 'webVitals',
];

/** Our entries, with the most bytes (minified, gzip level 9) that each may have. Every byte is paid for by a user on a slow phone. */
export const own = {
  errors: {
    budget: 4096,
    code: `
      import {start} from '@monitor-kit/browser/core';
      import {errors} from '@monitor-kit/browser/integrations/errors';
      start({dsn: '${DSN}', integrations: [errors()]});`,
  },
  core: {
    budget: 8192,
    code: `
      import {start} from '@monitor-kit/browser/core';
      import {errors} from '@monitor-kit/browser/integrations/errors';
      import {webVitals} from '@monitor-kit/browser/integrations/webVitals';
      start({dsn: '${DSN}', integrations: [errors(), webVitals()]});`,
  },
  // Errors, vitals with attribution, behaviour, requests, all five transports, the durable outbox.
  full: {
    budget: 13_568,
    code: `
      import {autoTransport, captureException, start, track, webSocketTransport} from '@monitor-kit/browser/core';
      import {attribution} from '@monitor-kit/browser/attribution';
      ${FULL.map((name) => `import {${name}} from '@monitor-kit/browser/integrations/${name}';`).join('\n')}
      export {captureException, track};
      start({
        dsn: '${DSN}',
        transports: [webSocketTransport, autoTransport],
        integrations: [${FULL.map((name) => (name === 'webVitals' ? 'webVitals({attribution})' : `${name}()`))}],
      });`,
  },
  // What `init` starts: the same, and timing, long tasks, resources, console, reports, blank screens.
  default: {budget: 16_384, code: `import {init} from '@monitor-kit/browser'; init({dsn: '${DSN}'});`},
  // Every export of the package, used or not.
  everything: {budget: 18_432, code: `export * from '@monitor-kit/browser';`},
  // Files that run by being included. The package says that it has no side effects, so importing them would bundle nothing.
  loader: {budget: 716, file: '@monitor-kit/browser/loader.js'},
};

export const rivals = {
  web_vitals: {code: vitals('web-vitals')},
  web_vitals_attribution: {code: vitals('web-vitals/attribution')},
  sentry: {code: `import {init} from '@sentry/browser'; init({dsn: 'https://key@sentry.example/1'});`},
  sentry_vitals: {
    code: `
      import {init, browserTracingIntegration} from '@sentry/browser';
      init({dsn: 'https://key@sentry.example/1', integrations: [browserTracingIntegration()], tracesSampleRate: 1});`,
  },
  faro: {
    code: `
      import {initializeFaro, getWebInstrumentations} from '@grafana/faro-web-sdk';
      initializeFaro({url: 'https://faro.example/collect', app: {name: 'shop'}, instrumentations: getWebInstrumentations()});`,
  },
  posthog: {code: `import posthog from 'posthog-js'; posthog.init('key', {api_host: 'https://posthog.example'});`},
  datadog: {
    code: `
      import {datadogRum} from '@datadog/browser-rum';
      datadogRum.init({applicationId: 'shop', clientToken: 'key', site: 'datadoghq.eu'});`,
  },
  elastic: {code: `import {init} from '@elastic/apm-rum'; init({serviceName: 'shop', serverUrl: 'https://apm.example'});`},
  web_see: {code: `import webSee from 'web-see'; webSee.init({dsn: 'https://websee.example/report', apikey: 'shop', userId: '42'});`},
};

function vitals(module) {
  return `
    import {onCLS, onFCP, onINP, onLCP, onTTFB} from '${module}';
    for (const on of [onCLS, onFCP, onINP, onLCP, onTTFB]) on(console.log);`;
}

/**
 * What runs in pages that are measured: as each is installed by default. The code sets `start`, which is called with the origin of
 * the collector; so that reading the script and starting can be timed apart.
 */
export const running = {
  monitor: `
    import {init} from '@monitor-kit/browser';
    globalThis.start = ({host}) => init({dsn: 'http://demo-key@' + host + '/shop'});`,
  sentry: `
    import {init} from '@sentry/browser';
    globalThis.start = ({host}) => init({dsn: 'http://key@' + host + '/1'});`,
  sentry_tracing: `
    import {init, browserTracingIntegration} from '@sentry/browser';
    globalThis.start = ({host}) => init({dsn: 'http://key@' + host + '/1', integrations: [browserTracingIntegration()], tracesSampleRate: 1});`,
  // Sentry's own answer to outages, which has to be asked for. Without `flushAtStartup`, what an earlier page left waits for the next event.
  sentry_offline: `
    import {init, makeBrowserOfflineTransport, makeFetchTransport} from '@sentry/browser';
    globalThis.start = ({host}) => init({
      dsn: 'http://key@' + host + '/1',
      transport: makeBrowserOfflineTransport(makeFetchTransport),
      transportOptions: {flushAtStartup: true},
    });`,
  faro: `
    import {initializeFaro, getWebInstrumentations} from '@grafana/faro-web-sdk';
    globalThis.start = ({host}) =>
      initializeFaro({url: 'http://' + host + '/collect', app: {name: 'shop'}, instrumentations: getWebInstrumentations()});`,
  web_vitals: `
    import {onCLS, onFCP, onINP, onLCP, onTTFB} from 'web-vitals';
    globalThis.start = () => { for (const on of [onCLS, onFCP, onINP, onLCP, onTTFB]) on(() => {}); };`,
  bare: `globalThis.start = () => {};`,
};
