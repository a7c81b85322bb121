/** A text or number as text. Undefined for anything else: where a text has to be, the receiver would refuse the whole envelope for it. */
export function worded(value: unknown): string | undefined {
  return value !== '' && /string|number/.test(typeof value) ? `${value}` : undefined;
}
