/** A text or number as text. Undefined for anything else: where a text has to be, it would say nothing. */
export function worded(value: unknown): string | undefined {
  return value !== '' && /string|number/.test(typeof value) ? `${value}` : undefined;
}
