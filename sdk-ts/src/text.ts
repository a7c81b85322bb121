/**
 * At most `max` UTF-16 units of a value as text, always well-formed: no surrogate pair is cut, and lone surrogates become U+FFFD.
 * `JSON.stringify` writes a lone surrogate as `"\ud83d"`, which strict parsers refuse together with the whole document.
 */
export function text(value: unknown, max: number): string {
  const all = String(value);
  const cut = all.length > max ? all.slice(0, max - 3) + '...' : all;
  // With the `u` flag a pair is one character, so this class only matches halves without their other half.
  return cut.replace(/[\ud800-\udfff]/gu, '\ufffd');
}
