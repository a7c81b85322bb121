import {matches, type Rules} from '../matches.js';
import type {Integration} from '../types.js';

/** What `filters` takes. */
export interface FiltersOptions {
  /** Errors that are not wanted, by `Name: message`. */
  ignoreErrors?: Rules;
  /** When there are any: the scripts whose errors are wanted. An error of which no script is known stays. */
  allowUrls?: Rules;
  /** Scripts whose errors are not wanted. */
  denyUrls?: Rules;
}

/** The address of a script at the end of a line of a stack: `at name (url:1:2)`, `name@url:1:2`. */
const SCRIPT = /[\w-]+:\/\/\S+?(?=:\d+:\d+\)?$)/m;

/**
 * Drops errors, console messages and violations of the Content Security Policy that are not wanted. To be the first of the
 * integrations: where it is not, the repeats of an error are dropped, and counted, as one.
 */
export function filters({ignoreErrors = [], allowUrls = [], denyUrls = []}: FiltersOptions = {}): Integration {
  return {
    name: 'filters',
    setup(client) {
      client.process((event) => {
        const {kind, name, data = {}} = event;
        if (!/^(error|console|csp)$/.test(kind)) return event;
        const script = SCRIPT.exec(`${data.stack}`)?.[0] ?? data.source;
        const unwanted = script && (matches(denyUrls, `${script}`) || (allowUrls.length && !matches(allowUrls, `${script}`)));
        return unwanted || matches(ignoreErrors, `${name}: ${data.message}`) ? 'filtered' : event;
      });
    },
  };
}
