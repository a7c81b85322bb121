// nginx with the configuration that users get, but for its ports and paths.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start, until } from './process.mjs';

const deployed = fileURLToPath(new URL('../../deploy/nginx.conf', import.meta.url));

/**
 * Starts nginx in a folder of its own. `front` and `readers` are the addresses it listens on, `receivers` and `consumers` two addresses each
 * behind it. Every request is written to its log, not only those that went wrong. `forgives` is after how many seconds a server that failed is asked
 * again, when that shall not be as deployed.
 */
export async function startNginx({ folder, front, readers, receivers, consumers, forgives }) {
  let text = readFileSync(deployed, 'utf8');
  const replace = (what, by) => {
    const pieces = text.split(what);
    if (pieces.length !== 2) throw new Error(`deploy/nginx.conf has ${what} ${pieces.length - 1} times`);
    text = pieces.join(by);
  };
  const log = join(folder, 'access.log');
  replace('listen 8080 ', `listen ${front} `);
  replace('listen 8090;', `listen ${readers};`);
  receivers.forEach((address, index) => replace(`receiver-${index + 1}:8080`, address));
  consumers.forEach((address, index) => replace(`consumer-${index + 1}:8090`, address));
  replace('access_log /dev/stdout short if=$worth_a_line;', `access_log ${log} short;`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${join(folder, `${what}_temp`)};`);
  if (forgives) text = text.replaceAll(/fail_timeout=\d+s/g, `fail_timeout=${forgives}s`);
  replace('http {\n', `http {\n${temporary.join('\n')}\n`);
  const configuration = join(folder, 'nginx.conf');
  // As root it would run its workers as another user, who cannot see the folder.
  const user = process.getuid() === 0 ? 'user root;\n' : '';
  writeFileSync(configuration, `pid ${join(folder, 'nginx.pid')};\n${user}${text}`);
  const nginx = start('nginx', process.env.NGINX ?? 'nginx', ['-p', folder, '-c', configuration, '-e', 'stderr', '-g', 'daemon off;']);
  let failed;
  nginx.ended.then((code) => { failed = new Error(`nginx ended with ${code}: ${nginx.said()}`); });
  await until('nginx answers', async () => {
    if (failed) throw failed;
    return (await fetch(`http://${front}/`)).status === 404;
  }, { within: 10_000 });
  return {
    nginx,
    /** What was answered, as it stands in the log: `[{client, method, path, status, upstreams, statuses}]`. */
    answered: () => readFileSync(log, 'utf8').trimEnd().split('\n').filter(Boolean).map((line) => {
      const [, client, method, path, status, , ...rest] = line.split(' ');
      const half = rest.length / 2;
      const list = (words) => words.map((word) => word.replace(',', ''));
      return { client, method, path, status: Number(status), upstreams: list(rest.slice(0, half)), statuses: list(rest.slice(half)) };
    }),
  };
}
