// deploy/nginx.conf in front of receivers that do what real ones do only seldom.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { freeAddress } from '../free-port.mjs';
import { ask } from './ask.mjs';
import { startNginx } from './nginx.mjs';
import { stopAll, until } from './process.mjs';

const MIB = 1024 * 1024;

let folder;
let base;
let front;
let proxy;
const receivers = [];
const consumers = [];

/** A server that remembers what it was asked, and does what the test says. */
async function startStub() {
  const stub = { asked: [], begun: 0, connections: 0, behave: undefined };
  const server = createServer((request, response) => {
    stub.begun += 1;
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const { method, url, headers } = request;
      stub.asked.push({ method, url, headers, bytes: Buffer.concat(pieces).length });
      stub.behave(request, response);
    });
  });
  server.on('upgrade', (request, socket) => {
    stub.asked.push({ method: request.method, url: request.url, headers: request.headers, bytes: 0 });
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pipe(socket);
  });
  server.on('connection', () => { stub.connections += 1; });
  stub.address = await freeAddress();
  const [host, port] = stub.address.split(':');
  stub.listen = () => new Promise((done) => server.listen(Number(port), host, done));
  stub.close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  await stub.listen();
  return stub;
}

const accept = (_request, response) => response.writeHead(202, { 'content-type': 'application/json' }).end('{"accepted":1,"rejected":[]}');
const die = (request) => request.socket.destroy();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'monitor-nginx-'));
  receivers.push(await startStub(), await startStub());
  consumers.push(await startStub(), await startStub());
  let readers;
  [front, readers] = [await freeAddress(), await freeAddress()];
  base = `http://${front}`;
  const places = { receivers: receivers.map(({ address }) => address), consumers: consumers.map(({ address }) => address) };
  proxy = await startNginx({ folder, front, readers, ...places, forgives: 1 });
  proxy.readers = `http://${readers}`;
});

after(async () => {
  const bad = await stopAll();
  await Promise.all([...receivers, ...consumers].map((stub) => stub.close()));
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(bad, []);
});

beforeEach(() => [...receivers, ...consumers].forEach((stub) => {
  stub.asked.length = 0;
  stub.behave = accept;
}));

const post = (from, options = {}) => ask(`${base}/api/shop/events?key=k`, { method: 'POST', body: '{}', from, ...options });

/** Addresses of clients that come to the first and to the second of these. Which ones hangs on their ports, so they are looked for. */
async function clientsOf(servers, come) {
  const clients = servers.map(() => []);
  for (let n = 1; n <= 12 || (n <= 100 && clients.some((list) => !list.length)); n += 1) {
    const from = `127.30.${n}.1`;
    servers.forEach((stub) => { stub.asked.length = 0; });
    assert.equal((await come(from)).status, 202);
    clients[servers.findIndex((stub) => stub.asked.length)].push(from);
  }
  servers.forEach((stub) => { stub.asked.length = 0; });
  assert.ok(clients.every((list) => list.length), 'both have clients');
  return clients;
}

/** Until nginx has forgiven a receiver that failed: its clients come back. */
const forgiven = (index, from) => until('nginx asks the receiver again', async () => {
  receivers.forEach((stub) => { stub.asked.length = 0; });
  await post(from);
  return receivers[index].asked.length > 0;
}, { every: 200 });

test('a client always comes to the same receiver, over connections that are kept', async () => {
  const [mine] = await clientsOf(receivers, post);
  const before = receivers[0].connections;
  for (let n = 0; n < 20; n += 1) await post(mine[0]);
  assert.deepEqual(receivers.map((stub) => stub.asked.length), [20, 0]);
  // One for each worker of nginx at most.
  assert.ok(receivers[0].connections - before <= 16, `${receivers[0].connections - before} connections for 20 requests`);
});

test('what a client says about its address is replaced', async () => {
  const from = '127.31.7.9';
  await post(from, { headers: { 'x-forwarded-for': '203.0.113.9, 127.0.0.1', forwarded: 'for=203.0.113.9', connection: 'close' } });
  const [{ headers }] = receivers.flatMap((stub) => stub.asked);
  assert.deepEqual([headers['x-forwarded-for'], headers.forwarded, headers.host, headers.connection], [from, undefined, front, undefined]);
});

test('a receiver that refuses connections is replaced by the other one', async () => {
  const [, mine] = await clientsOf(receivers, post);
  await receivers[1].close();
  for (let n = 0; n < 10; n += 1) assert.equal((await post(mine[0])).status, 202);
  assert.equal(receivers[0].asked.length, 10);
  await receivers[1].listen();
  await forgiven(1, mine[0]);
});

test('a POST that a receiver has seen is never given to another one, and the page learns that it had no answer', async () => {
  const [mine] = await clientsOf(receivers, post);
  receivers[0].behave = die;
  const answer = await post(mine[0]);
  assert.deepEqual(receivers.map((stub) => stub.asked.length), [1, 0]);
  assert.deepEqual([answer.status, answer.json?.error.code, answer.headers['retry-after']], [502, 'no_answer', '1']);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  receivers[0].behave = accept;
  assert.equal((await post(mine[0])).status, 202, 'sent again, it is taken');
  assert.equal(receivers[1].asked.length, 1, 'by the other one, while the silent one is left alone');
  await forgiven(0, mine[0]);
});

test('an image with events is not repeated either', async () => {
  const [mine] = await clientsOf(receivers, post);
  receivers[0].behave = die;
  const answer = await ask(`${base}/api/shop/pixel.gif?key=k&d=e30`, { from: mine[0] });
  assert.deepEqual([answer.status, ...receivers.map((stub) => stub.asked.length)], [502, 1, 0]);
  receivers[0].behave = accept;
  await forgiven(0, mine[0]);
});

test('a 503 and its Retry-After are the page’s', async () => {
  const [mine] = await clientsOf(receivers, post);
  receivers[0].behave = (_request, response) => response.writeHead(503, { 'retry-after': '7', 'content-type': 'application/json' }).end('{"error":{"code":"spool_full"}}');
  const answer = await post(mine[0]);
  assert.deepEqual([answer.status, answer.headers['retry-after'], answer.json.error.code], [503, '7', 'spool_full']);
  assert.deepEqual(receivers.map((stub) => stub.asked.length), [1, 0]);
});

test('a mebibyte passes, one byte more is refused so that a page can read it', async () => {
  const from = '127.32.1.1';
  assert.equal((await post(from, { body: Buffer.alloc(MIB, 32) })).status, 202);
  assert.equal(receivers.flatMap((stub) => stub.asked)[0].bytes, MIB);
  const answer = await post(from, { body: Buffer.alloc(MIB + 1, 32) });
  assert.deepEqual([answer.status, answer.json?.error.code, answer.headers['access-control-allow-origin']], [413, 'too_large', '*']);
  assert.equal(receivers.flatMap((stub) => stub.asked).length, 1);
});

test('an image with 16 KB of events passes', async () => {
  const url = `/api/shop/pixel.gif?key=k&d=${'A'.repeat(16_000)}`;
  assert.equal((await ask(base + url, { from: '127.32.1.1' })).status, 202);
  assert.equal(receivers.flatMap((stub) => stub.asked)[0].url, url);
});

test('compressed bodies and their headers pass untouched', async () => {
  const body = Buffer.from([0x1f, 0x8b, 1, 2, 3]);
  await post('127.32.1.1', { body, headers: { 'content-encoding': 'gzip', 'content-type': 'text/plain' } });
  const [{ headers, bytes }] = receivers.flatMap((stub) => stub.asked);
  assert.deepEqual([bytes, headers['content-encoding'], headers['content-type']], [5, 'gzip', 'text/plain']);
});

test('a receiver does not see a body before it is complete', async () => {
  const [host, port] = front.split(':');
  const socket = connect(Number(port), host);
  socket.write(`POST /api/shop/events?key=k HTTP/1.1\r\nHost: ${front}\r\nContent-Length: 10\r\n\r\n12345`);
  const begun = () => receivers.reduce((sum, stub) => sum + stub.begun, 0);
  const before = begun();
  // Whole requests after it: what could have passed has passed.
  for (let n = 0; n < 50; n += 1) await post('127.32.1.1');
  assert.equal(begun() - before, 50);
  socket.write('67890');
  await until('the whole body arrives', () => receivers.flatMap((stub) => stub.asked).some(({ bytes }) => bytes === 10));
  socket.destroy();
});

test('a WebSocket passes both ways', async () => {
  const [host, port] = front.split(':');
  const socket = connect(Number(port), host);
  let said = '';
  socket.on('data', (text) => { said += text; });
  socket.write(`GET /api/shop/ws?key=k HTTP/1.1\r\nHost: ${front}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n`);
  await until('the answer to the handshake', () => said.includes('101'));
  socket.write('frame');
  await until('the frame comes back', () => said.endsWith('frame'));
  const [{ headers }] = receivers.flatMap((stub) => stub.asked);
  assert.deepEqual([headers.upgrade, headers.connection, headers['x-forwarded-for']], ['websocket', 'upgrade', '127.0.0.1']);
  socket.destroy();
});

test('pages reach the ingest and nothing else, readers no metrics', async () => {
  for (const path of ['/', '/query', '/query/events', '/live', '/metrics', '/livez', '/assets/index.js', '/api/../metrics', '//metrics']) {
    assert.equal((await ask(base + path)).status, 404, path);
  }
  assert.equal((await ask(`${proxy.readers}/metrics`)).status, 404);
  assert.deepEqual([...receivers, ...consumers].flatMap((stub) => stub.asked), []);
  for (const path of ['/sdk/monitor.js', '/readyz']) assert.equal((await ask(base + path)).status, 202, path);
  for (const path of ['/', '/query/projects', '/live?project=shop']) assert.equal((await ask(proxy.readers + path)).status, 202, path);
});

test('a receiver that is not ready is not what /readyz tells of, as long as the other one is', async () => {
  receivers[0].behave = (_request, response) => response.writeHead(503).end();
  for (const from of ['127.33.1.1', '127.33.2.1', '127.33.3.1', '127.33.4.1', '127.33.5.1']) {
    assert.equal((await ask(`${base}/readyz`, { from })).status, 202);
  }
});

test('a question is asked again elsewhere when a consumer dies of it', async () => {
  const clients = await clientsOf(consumers, (from) => ask(`${proxy.readers}/query`, { method: 'POST', body: '{}', from }));
  for (const [index, dying] of consumers.entries()) {
    dying.behave = die;
    for (const from of clients[index]) {
      const answer = await ask(`${proxy.readers}/query`, { method: 'POST', body: '{}', from });
      assert.equal(answer.status, 202);
    }
    assert.ok(dying.asked.length > 0);
    dying.behave = accept;
    await until('nginx asks the consumer again', async () => {
      dying.asked.length = 0;
      await ask(`${proxy.readers}/`, { from: clients[index][0] });
      return dying.asked.length > 0;
    }, { every: 200 });
  }
});
