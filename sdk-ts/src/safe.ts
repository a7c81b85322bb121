/**
 * Wraps a function that the page calls, so that nothing is ever thrown into the page. After `maxFailures` it is not called
 * any more: a part that cannot work on this page should not cost it anything either.
 */
export function safe<Args extends unknown[]>(
  handler: (...args: Args) => void,
  onFailure: () => void,
  maxFailures: number,
): (...args: Args) => void {
  let failures = 0;
  return (...args) => {
    if (failures >= maxFailures) return;
    try {
      handler(...args);
    } catch {
      failures++;
      onFailure();
    }
  };
}
