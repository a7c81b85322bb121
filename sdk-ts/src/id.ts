/** A UUID v7 (RFC 9562) without dashes: 48 bits of milliseconds, then 72 random bits. Sorts by time, is never made twice. */
export function id(now: number = Date.now()): string {
  const random = Array.from(crypto.getRandomValues(new Uint8Array(18)), (byte) => (byte % 16).toString(16)).join('');
  // One digit each for the version, 7, and the variant, 8.
  return `${now.toString(16).padStart(12, '0')}7${random.slice(15)}8${random.slice(0, 15)}`;
}
