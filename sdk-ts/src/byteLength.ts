const encoder = /* @__PURE__ */ new TextEncoder();

/** Length of a text in bytes as UTF-8: what browsers and receivers count, up to three times `length`. */
export function byteLength(value: string): number {
  return encoder.encode(value).length;
}
