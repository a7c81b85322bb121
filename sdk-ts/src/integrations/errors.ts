import {fold} from '../fold.js';
import {reported} from '../reported.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Integration} from '../types.js';

/** Captures errors and rejections that nobody caught. */
export function errors(): Integration {
  return {
    name: 'errors',
    setup(client) {
      fold(client, 'error');

      client.listen(window, 'error', ({error, message, filename, lineno, colno}: ErrorEvent) => {
        // An element that could not be loaded has no message, and a script of another origin has no more than one.
        if (!message) return;
        if (reported.has(error)) return;
        client.captureException(error ?? {message}, {
          mechanism: 'onerror',
          handled: false,
          data: {source: scrubUrl(filename), line: lineno, column: colno},
        });
      });

      client.listen(window, 'unhandledrejection', ({reason}: PromiseRejectionEvent) => {
        if (!reported.has(reason)) client.captureException(reason, {mechanism: 'onunhandledrejection', handled: false, fallback: 'UnhandledRejection'});
      });
    },
  };
}
