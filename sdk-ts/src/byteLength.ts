const encoder = /* @__PURE__ */ new TextEncoder();

/** Length in bytes, of a text as UTF-8: what browsers and receivers count, up to three times `length`. */
export function byteLength(value: string | Uint8Array): number {
  return typeof value === 'string' ? encoder.encode(value).length : value.length;
}
