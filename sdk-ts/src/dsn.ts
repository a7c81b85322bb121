/**
 * Turns a DSN, `https://<public_key>@host[/mount]/<project>`, into the address that takes envelopes.
 *
 * @throws when the text is not a DSN; `init` turns that into a warning and a client that does nothing.
 */
export function endpointOf(dsn: string): string {
  const {protocol, username, host, pathname} = new URL(dsn);
  const [, mount, project] = /^(.*?)\/([^/]+)\/?$/.exec(pathname) ?? [];
  if (!/^https?:$/.test(protocol) || !username || !project) {
    throw new Error('a DSN looks like https://<public_key>@host/<project>');
  }
  return `${protocol}//${host}${mount}/api/${project}/events?key=${username}`;
}
