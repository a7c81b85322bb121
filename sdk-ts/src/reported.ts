/** Errors that were caught and reported. When they are thrown on, the global handlers need not report them again. */
export const reported = /* @__PURE__ */ new WeakSet<object>();
