import {text} from './text.js';

/** Deepest nesting that is kept; the receiver refuses more than 32. */
const MAX_DEPTH = 8;
/** Keys or items per object; the receiver refuses more than 256 keys. */
const MAX_KEYS = 200;
/** Values in one event: a DOM node or a store passed by mistake stops here. */
const MAX_VALUES = 2000;
/** UTF-16 units per text: at most 30 KB as UTF-8; the receiver cuts at 32. */
const MAX_TEXT = 10_000;

/**
 * A copy of any value that JSON can carry and the receiver will take. What cannot be read is empty; cycles, huge and deep values,
 * functions and lone surrogates are replaced by a text that says so. Objects of the host are read, never kept. `left` values are copied,
 * from `maxDepth` levels.
 */
export function plain(value: unknown, left = MAX_VALUES, maxDepth = MAX_DEPTH): unknown {
  /** `read` may throw, as getters do; that takes only its own value along. */
  function copy(read: () => unknown, path: unknown[]): unknown {
    try {
      const source = read();
      if (left-- < 1 || path.length > maxDepth) return '[truncated]';
      if (typeof source === 'function') return '[function]';
      if (source == null || typeof source === 'boolean' || Number.isFinite(source)) return source;
      if (typeof source !== 'object' || source instanceof Error) return text(source, MAX_TEXT);
      if (path.includes(source)) return '[circular]';
      const deeper = [...path, source];
      // Some libraries give every array a `toJSON` that makes a text of it; an own one that is none shields from that.
      if (path[0] && Array.isArray(source)) return Object.assign(source.slice(0, MAX_KEYS).map((item) => copy(() => item, deeper)), {toJSON: undefined});
      const object = source as Record<string, unknown>;
      if (typeof object.toJSON === 'function') return copy(() => (object as {toJSON(): unknown}).toJSON(), deeper);
      // From entries, so that a key named `__proto__` is a key like any other.
      return Object.fromEntries(
        Object.keys(source)
          .slice(0, MAX_KEYS)
          .map((key) => [text(key, 200), copy(() => object[key], deeper)]),
      );
    } catch {
      // Nothing can be said of it. An object, because the details of an event have to be one; for the same reason a list
      // is a list only within something else.
      return {};
    }
  }

  return copy(() => value, []);
}
