const SENSITIVE =
  /pass(w|phrase)|pwd|token|secret|mail|session|signature|credential|jwt|oauth|authorization|api_?key|access_?key|(^|[^a-z0-9])(pass|key|auth|code|sid|sig|otp|pin|ssn)([^a-z0-9]|$)/i;

/**
 * An address that may leave the browser: without user and password, and with `[scrubbed]` in place of the value of each
 * sensitive parameter, in the query and in the fragment (where OAuth puts tokens and hash routers put queries).
 */
export function scrubUrl(url: string): string {
  return url
    .replace(/^([a-z][\w+.-]*:)?\/\/[^/?#]*@/i, '$1//')
    .replace(/([?&#;])([^=&#;?]+)=[^&#;]*/g, (pair, separator: string, name: string) =>
      SENSITIVE.test(readable(name)) ? `${separator}${name}=[scrubbed]` : pair,
    );
}

/** `resetToken` and `reset%5Ftoken` as `reset_Token` and `reset_token`. */
function readable(name: string): string {
  let decoded = name;
  try {
    decoded = decodeURIComponent(name);
  } catch {
    // Not valid percent-encoding: judge the name as it is written.
  }
  return decoded.replace(/([a-z\d])([A-Z])/g, '$1_$2');
}
