import {text} from './text.js';

/** Ancestors named in a selector, the element included. */
const MAX_LEVELS = 4;
/** Classes named per element: utility-class pages have dozens, none of which identifies anything. */
const MAX_CLASSES = 2;

/**
 * A short name of an element that stays the same from build to build where the page allows it: up to the nearest `id` or
 * `data-testid`, else four levels of tags and classes. Never its text or its values.
 */
export function selector(element: Element): string {
  const parts: string[] = [];
  for (let node: Element | null = element; node && parts.length < MAX_LEVELS; node = node.parentElement) {
    const tag = node.localName;
    if (tag === 'body' || tag === 'html') {
      if (!parts.length) parts.push(tag);
      break;
    }
    const testId = node.getAttribute('data-testid');
    const id = node.getAttribute('id');
    // Ids with many digits or colons are made by frameworks and differ on every load.
    const anchor = testId ? `[data-testid="${testId}"]` : id && !/\d{4}|:/.test(id) ? `#${id}` : '';
    const classes = Array.from(node.classList).filter((name) => !/\d{4}|[:[\]/]/.test(name));
    parts.unshift(anchor || [tag, ...classes.slice(0, MAX_CLASSES)].join('.'));
    if (anchor) break;
  }
  return text(parts.join(' > '), 200);
}
