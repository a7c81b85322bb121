import {plain} from './plain.js';

export interface ErrorDescription {
  name: string;
  message: string;
  stack?: string | undefined;
}

/**
 * What can be said of a thrown value. Anything can be thrown, from any frame (so `instanceof` says little), with getters
 * that throw themselves. `fallback` names what is no error.
 */
export function describeError(thrown: unknown, fallback = 'Error'): ErrorDescription {
  try {
    if (typeof thrown === 'object' && thrown) {
      const {name, message, stack} = thrown as {name?: unknown; message?: unknown; stack?: unknown};
      if (typeof message === 'string') {
        return {
          name: typeof name === 'string' && name ? name : fallback,
          message,
          stack: typeof stack === 'string' ? stack : undefined,
        };
      }
    }
    const message = typeof thrown === 'object' ? JSON.stringify(plain(thrown)) : String(thrown);
    return {name: fallback, message: message.slice(0, 2_000)};
  } catch {
    return {name: fallback, message: '[unreadable]'};
  }
}
