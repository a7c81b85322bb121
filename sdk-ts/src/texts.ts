import {text} from './text.js';

/** A map of texts, without what is undefined or empty; from entries, so that a key named `__proto__` is a key like any other. */
export function texts(values: Record<string, string | number | undefined> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== undefined && value !== '')
      .map(([key, value]) => [text(key, 200), text(value, 1_000)]),
  );
}
