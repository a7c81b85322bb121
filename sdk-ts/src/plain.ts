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
 * A copy of any value that JSON can carry and the receiver will take: cycles, getters that throw, huge and deep values,
 * functions and lone surrogates are replaced by a text that says so. Objects of the host are read, never kept.
 */
export function plain(value: unknown): unknown {
  const path: object[] = [];
  let left = MAX_VALUES;

  function copy(source: unknown): unknown {
    if (left-- <= 0) return '[truncated]';
    switch (typeof source) {
      case 'string':
        return text(source, MAX_TEXT);
      case 'boolean':
      case 'undefined':
        return source;
      case 'number':
        return Number.isFinite(source) ? source : String(source);
      case 'object':
        return source && copyObject(source);
      case 'function':
        return '[function]';
      default:
        return String(source);
    }
  }

  function copyObject(source: object): unknown {
    if (path.includes(source)) return '[circular]';
    if (path.length >= MAX_DEPTH) return '[too deep]';
    path.push(source);
    try {
      const {toJSON} = source as {toJSON?: unknown};
      if (typeof toJSON === 'function') return copy(toJSON.call(source));
      if (source instanceof Error) return text(String(source), MAX_TEXT);
      if (Array.isArray(source)) return source.slice(0, MAX_KEYS).map(copy);
      // Without a prototype, a key named `__proto__` is a key like any other.
      const target: Record<string, unknown> = Object.create(null);
      for (const key of Object.keys(source).slice(0, MAX_KEYS)) {
        try {
          target[text(key, 200)] = copy((source as Record<string, unknown>)[key]);
        } catch {
          target[key] = '[unreadable]';
        }
      }
      return target;
    } catch {
      return '[unreadable]';
    } finally {
      path.pop();
    }
  }

  return copy(value);
}
