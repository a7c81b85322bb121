/**
 * Whether the page was hidden at any time until now: its times then say how browsers treat hidden tabs. A page that is
 * prerendered is not hidden; it has not begun. Where browsers keep no record, only the present counts.
 */
export function wasHidden(): boolean {
  if (document.prerendering) return false;
  const start = performance.getEntriesByType('navigation')[0]?.activationStart ?? 0;
  return (
    document.visibilityState === 'hidden' ||
    performance.getEntriesByType('visibility-state' as 'paint').some((entry) => entry.name === 'hidden' && entry.startTime >= start)
  );
}
