/** A UUID v7 (RFC 9562) without dashes: 48 bits of milliseconds, then 72 random bits. Sorts by time, is never made twice. */
export function id(now: number = Date.now()): string {
  const random = Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => (byte + 256).toString(16).slice(1)).join('');
  // One digit each for the version, 7, and the variant, 8.
  return `${now.toString(16).padStart(12, '0')}7${random.slice(1, 4)}8${random.slice(5)}`;
}
