/**
 * Turns a DSN, `https://<public_key>@host[/mount]/<project>`, into the address that takes envelopes.
 *
 * @throws when the text is not a DSN; `start` turns that into a warning.
 */
export function endpointOf(dsn: string): string {
  const [, scheme, key, base, project] = /^(https?:\/\/)([^/@:]+)@(.+)\/([^/?#]+)\/?$/.exec(dsn) ?? [];
  if (!key) throw new Error(`bad DSN ${dsn}`);
  return `${scheme}${base}/api/${project}/events?key=${key}`;
}
