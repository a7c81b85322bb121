type Method = (this: any, ...args: any[]) => any;

/**
 * Replaces a method and returns how to undo it. When somebody else has wrapped it since, it is left alone, because
 * putting the original back would remove their wrapper too; `make`'s function must then do nothing but pass on.
 */
export function patch<Name extends string>(
  owner: Record<Name, any>,
  name: Name,
  make: (original: Method) => Method,
): () => void {
  const original: Method = owner[name];
  if (typeof original !== 'function') return () => {};
  const inherited = !Object.prototype.hasOwnProperty.call(owner, name);
  const patched = make(original);
  owner[name] = patched;
  return () => {
    if (owner[name] !== patched) return;
    if (inherited) delete owner[name];
    else owner[name] = original;
  };
}
