type Method = (this: any, ...args: any[]) => any;

/**
 * Replaces a method and returns how to undo it. When somebody else has wrapped it since, it stays where it is and passes on,
 * because putting the original back would remove their wrapper too.
 */
export function patch<Name extends string>(owner: Record<Name, any>, name: Name, make: (original: Method) => Method): () => void {
  // Where it lives, so that no object gets a key that it did not have.
  while (!Object.hasOwnProperty.call(owner, name)) owner = Object.getPrototypeOf(owner);
  const original: Method = owner[name];
  let method = make(original);
  // A method, like the original: no constructor. Some libraries tell by name and length what they may wrap or call.
  const {patched} = {
    patched(this: unknown, ...args: unknown[]): unknown {
      return method.apply(this, args);
    },
  };
  Object.defineProperties(patched, {name: {value: original.name}, length: {value: original.length}});
  owner[name] = patched as any;
  return () => {
    method = original;
    if (owner[name] === patched) owner[name] = original as any;
  };
}
