import {describeError} from '../describeError.js';
import {fold} from '../fold.js';
import {patch} from '../patch.js';
import type {Integration} from '../types.js';

type Method = 'debug' | 'log' | 'info' | 'warn' | 'error';

/** What `consoleCapture` takes. */
export interface ConsoleOptions {
  /** What becomes an event; `error` when left out. */
  levels?: Method[];
  /** What becomes a breadcrumb; all but `debug` when left out. */
  breadcrumbs?: Method[];
}

/** The rest of the arguments is not looked at. */
const MAX_ARGUMENTS = 10;

/** Captures what is written to the console, which still is written there. */
export function consoleCapture({levels = ['error'], breadcrumbs = ['log', 'info', 'warn', 'error']}: ConsoleOptions = {}): Integration {
  return {
    name: 'consoleCapture',
    setup(client) {
      // What a getter or a hook writes while it is asked is not captured, nor is anything after the end.
      let deaf = false;
      fold(client, 'console');

      const onCall = client.guard((method: Method, all: unknown[]) => {
        if (deaf || client.busy) return;
        deaf = true;
        const described = all.slice(0, MAX_ARGUMENTS).map((value) => describeError(value, ''));
        const args = described.map(({name, message}) => (name ? `${name}: ${message}` : message));
        // As the console writes it: further arguments take the places that the first one, if it is a text, has for them.
        const [first = '', ...rest] = args;
        const filled = typeof all[0] === 'string' ? first.replace(/%[sdifoOc]/g, (place) => rest.shift() ?? place) : first;
        const message = [filled, ...rest].join(' ');
        const level = method === 'warn' ? 'warning' : method === 'log' ? 'info' : method;
        if (levels.includes(method)) {
          client.capture({kind: 'console', name: level, attributes: {level}, data: {...described.find(({stack}) => stack), message, args}});
        }
        if (breadcrumbs.includes(method)) client.addBreadcrumb({category: 'console', level, message});
        deaf = false;
      });

      const undo = [...new Set([...levels, ...breadcrumbs])].map((method) =>
        patch(console, method, (original) => {
          return function (this: unknown, ...args: unknown[]): unknown {
            onCall(method, args);
            return original.apply(this, args);
          };
        }),
      );
      return () => {
        deaf = true;
        undo.forEach((stop) => stop());
      };
    },
  };
}
