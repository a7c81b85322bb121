export interface Navigation {
  /** The browser's entry; without properties where it has none. */
  readonly entry: Partial<PerformanceNavigationTiming>;
  /** When the page was there for the user: a prerendered one when it was shown, any other from 0, in ms. */
  readonly start: number;
  /** `navigate`, `reload`, `back_forward`, `prerender` or `restore` (a tab that the browser had discarded). */
  readonly type: string | undefined;
}

/** How the document was loaded. */
export function navigation(): Navigation {
  const [entry = {} as Partial<PerformanceNavigationTiming>] = performance.getEntriesByType('navigation');
  const start = entry.activationStart || 0;
  return {entry, start, type: start ? 'prerender' : document.wasDiscarded ? 'restore' : entry.type};
}
