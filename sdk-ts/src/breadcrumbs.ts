import type {Breadcrumb} from './types.js';

/** A ring of the last `size` breadcrumbs, oldest first. */
export function createBreadcrumbs(size = 30): {add(breadcrumb: Breadcrumb): void; list(): Breadcrumb[]} {
  const ring: Breadcrumb[] = [];
  return {
    add(breadcrumb) {
      ring.push(breadcrumb);
      if (ring.length > size) ring.shift();
    },
    list: () => ring.slice(),
  };
}
