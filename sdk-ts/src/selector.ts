import {closest} from './closest.js';
import {text} from './text.js';

/** Ancestors named in a selector, the element included. */
const MAX_LEVELS = 4;
/** Classes named per element: utility-class pages have dozens, none of which identifies anything. */
const MAX_CLASSES = 2;

/** Names with many digits or special characters are made by frameworks and differ on every load, or tell nothing. */
const stable = (name: string): boolean => !/\d{4}|[:[\]/@]/.test(name);

/**
 * A short name of an element that stays the same from build to build where the page allows it: up to the nearest `id` or
 * `data-testid`, else four levels of tags and classes. Never its text or its values; inside of `data-monitor-mask` only its tag.
 */
export function selector(element: Element): string {
  if (closest(element, '[data-monitor-mask]')) return element.localName;
  const parts: string[] = [];
  for (let node: Element | null = element; node && parts.length < MAX_LEVELS; node = node.parentElement) {
    if (parts[0] && node.matches('html,body')) break;
    const testId = node.getAttribute('data-testid');
    const id = node.getAttribute('id');
    const anchor = testId ? `[data-testid="${testId}"]` : id && stable(id) && '#' + id;
    parts.unshift(anchor || [node.localName, ...[...node.classList].filter(stable).slice(0, MAX_CLASSES)].join('.'));
    if (anchor) break;
  }
  return text(parts.join(' > '), 200);
}
