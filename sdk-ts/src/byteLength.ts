/** Length in bytes, of a text as UTF-8: what browsers and receivers count, up to three times `length`. */
export function byteLength(value: string | Uint8Array): number {
  return typeof value === 'string' ? new TextEncoder().encode(value).length : value.length;
}
