// The server of the pages: the demo shop, and pages that try one transport each.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const TYPES = { '.css': 'text/css', '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml' };

/** Starts it. `front` is where the SDK and the ingest are. */
export async function startPages({ front, dsn }) {
  const shop = readFileSync(join(root, 'examples/shop/index.html'), 'utf8').replaceAll('{{receiver}}', front).replaceAll('{{dsn}}', dsn);
  const transports = (list) => `<!doctype html><html lang="en"><head><title>Transports</title><link rel="icon" href="data:,"><script type="module">
    import * as kit from '/dist/index.js';
    const {webSocketTransport, autoTransport, beaconTransport, fetchTransport} = kit;
    kit.init({dsn: ${JSON.stringify(dsn)}, release: new URLSearchParams(location.search).get('release'), transports: [${list}]});
    window.kit = kit;
  </script></head><body><h1>Transports</h1></body></html>`;
  const pages = {
    '/shop/': shop,
    '/shop/cart': shop,
    '/socket': transports('webSocketTransport, autoTransport'),
    '/beacon': transports('beaconTransport, fetchTransport'),
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://page').pathname;
    const send = (status, type, body) => response.writeHead(status, { 'content-type': type }).end(body);
    if (pages[path]) return send(200, TYPES['.html'], pages[path]);
    if (path === '/shop/api/cart') return send(200, 'text/plain', '[]');
    if (path === '/shop/api/checkout') return send(500, 'text/plain', 'the till is broken');
    const file = path.startsWith('/dist/') ? join(root, 'sdk-ts', normalize(path)) : join(root, 'examples', normalize(path));
    try {
      return send(200, TYPES[extname(file)], readFileSync(file));
    } catch {
      return send(404, 'text/plain', 'not found');
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    stop: () => new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    }),
  };
}
