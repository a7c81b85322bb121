const SECRET = /passw|passphrase|pwd|token|secret|mail|session|signature|credential|jwt|authoriz|apikey|(^|[^a-z\d])(pass|key|o?auth|code|sid|sig|otp|pin|ssn)([^a-z\d]|$)/i;

/**
 * An address, or a text with addresses in it, that may leave the browser: without user and password, and with `[scrubbed]` in place of
 * the value of each parameter that sounds like a secret, in the query and in the fragment (where OAuth puts tokens and hash
 * routers put queries). A value may hold more than names do: it ends at `?` or `;` only before another parameter, and at `)` or `,` only before
 * a space or at the end. In a stack, line and column at the end of a frame's address stay. The receiver looks again, and closer.
 */
export function scrubUrl(text: unknown, isStack?: boolean): string {
  return String(text)
    .replace(/\/\/[^/?#\s]*@/g, '//')
    .replace(/([?&#;]([^=&#;?\s]+)=).*?(:\d+:\d+)?(?=\)?,?(\s|$)|[&#"'<>]|[?;][^=&#;?\s]+=)/g, (pair, start: string, name: string, position = '') =>
      // `authCode` is `auth` and `Code`.
      SECRET.test(name.replace(/([a-z])([A-Z])/g, '$1_$2')) ? `${start}[scrubbed]${isStack ? position : ''}` : pair,
    );
}
