import {plain} from './plain.js';
import {scrubUrl} from './scrubUrl.js';
import {text} from './text.js';

export interface ErrorDescription {
  name: string;
  message: string;
  stack?: string;
  /** The `cause` chain, outermost first, at most 5. */
  causes?: ErrorDescription[];
  /** What an `AggregateError` holds, at most 10. */
  errors?: ErrorDescription[];
}

/** UTF-16 units of a message or stack: together with those of all causes, less than what an event may have. */
const MAX_TEXT = 4_000;
const MAX_ERRORS = 10;
/** Values and levels of what is no error but a whole store, as pages write to the console: there is no room for more in a message. */
const MAX_VALUES = 100;
const MAX_DEPTH = 3;

/**
 * What can be said of a thrown value. Anything can be thrown, from any frame (so `instanceof` says little), with getters
 * that throw themselves. `fallback` names what does not say its name; `maxCauses` also ends a cycle.
 */
export function describeError(thrown: unknown, fallback = 'Error', maxCauses = 5): ErrorDescription {
  const description: Record<string, any> = {name: fallback, message: '[unreadable]'};
  const parts: Record<string, (value: any) => unknown> = {
    message: (message) =>
      tidy(
        typeof message === 'string'
          ? message
          : // Whose properties are all inherited.
            thrown instanceof Event
            ? `Event: ${thrown.type}`
            : typeof thrown === 'object'
              ? JSON.stringify(plain(thrown, MAX_VALUES, MAX_DEPTH))
              : thrown,
      ),
    name: (name) => String(name || fallback),
    stack: (stack) => (stack ? tidy(stack, true) : undefined),
    cause(cause) {
      if (!cause || !maxCauses) return;
      const {causes = [], ...direct} = describeError(cause, fallback, maxCauses - 1);
      description['causes'] = [direct, ...causes];
    },
    errors: (errors) => (maxCauses ? errors.slice(0, MAX_ERRORS).map((error: unknown) => describeError(error, fallback, 0)) : undefined),
  };
  for (const key of Object.keys(parts)) {
    try {
      description[key] = parts[key]!((thrown as any)?.[key]);
    } catch {
      // What does not want to be read, or to be a text, takes only itself along.
    }
  }
  return description as ErrorDescription;
}

function tidy(value: unknown, isStack?: boolean): string {
  return scrubUrl(text(value, MAX_TEXT), isStack);
}
