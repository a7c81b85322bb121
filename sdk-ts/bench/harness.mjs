// What the measuring programs share: pages, collectors, the receiver and the browser. Everything on this machine, on free ports.
import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gunzipSync, inflateSync} from 'node:zlib';
import {freeAddress} from '../../tests/free-port.mjs';

export const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

const repository = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const receiverPath = process.env.MONITOR_QUICKSTART ?? join(repository, 'target/debug/examples/quickstart');

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks until the answer is true or the time (ms) is over; the last answer. */
export async function until(condition, limit, every = 200) {
  const deadline = performance.now() + limit;
  for (;;) {
    const answer = await condition();
    if (answer || performance.now() >= deadline) return answer;
    await sleep(every);
  }
}

/** A server on a free port of this machine. The handler gets the body, too. */
export async function serve(handle) {
  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      await handle(request, response, Buffer.concat(chunks));
    } catch {
      // The page went away in the middle of it.
      response.destroy();
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const host = `127.0.0.1:${server.address().port}`;
  const close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return {host, origin: `http://${host}`, close};
}

export const cors = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': '*',
  'access-control-allow-methods': 'POST, GET',
  'access-control-expose-headers': 'retry-after, x-sentry-rate-limits',
  'cross-origin-resource-policy': 'cross-origin',
};

/** What a request says, as the client wrote it: its body, which the header or the address may call compressed, or what the address of an image carries. */
export function textOf({url, headers}, body) {
  const {searchParams} = new URL(url, 'http://collector');
  const inAddress = searchParams.get('d');
  if (inAddress) return Buffer.from(inAddress, 'base64url').toString('utf8');
  const decode = {gzip: gunzipSync, deflate: inflateSync}[headers['content-encoding'] ?? searchParams.get('encoding')];
  return (decode && body.length ? decode(body) : body).toString('utf8');
}

/** Our receiver with its engine, storing into a folder that is removed afterwards. */
export async function startReceiver() {
  if (!existsSync(receiverPath)) throw new Error(`${receiverPath} is missing; build it with cargo build --example quickstart`);
  const data = await mkdtemp(join(tmpdir(), 'monitor-bench-'));
  const [listen, shop, internal] = [await freeAddress(), await freeAddress(), await freeAddress()];
  const server = spawn(receiverPath, ['--listen', listen, '--shop', shop, '--internal', internal, '--data', data], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((done) => server.once('exit', done));
  await new Promise((ready, failed) => {
    void ended.then((code) => failed(new Error(`the receiver ended with ${code}`)));
    server.stdout.on('data', (text) => String(text).includes('ready') && ready());
  });

  return {
    host: listen,
    /** Whole events whose message contains the text. */
    async errors(message) {
      const now = Date.now();
      const question = {
        project: 'shop', from: now - 3_600_000, to: now + 60_000, kinds: ['error'], limit: 10_000,
        filters: [{field: 'message', op: 'contains', values: [message]}],
      };
      const answer = await fetch(`http://${listen}/query/events`, {
        method: 'POST', body: JSON.stringify(question), headers: {'content-type': 'application/json'},
      });
      if (!answer.ok) throw new Error(`the query API answers ${answer.status}: ${await answer.text()}`);
      return (await answer.json()).events;
    },
    async metrics() {
      return (await fetch(`http://${internal}/metrics`)).text();
    },
    async stop() {
      server.kill('SIGTERM');
      await ended;
      await rm(data, {recursive: true, force: true});
    },
  };
}

/** Closes a page as a user does: it learns that it is hidden and left. */
export async function leave(page) {
  const closed = new Promise((done) => page.once('close', done));
  await page.close({runBeforeUnload: true});
  await closed;
}

/** Prints columns that line up: texts to the left, numbers to the right. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  for (const row of rows) {
    console.log(row.map((cell, n) => (typeof cell === 'number' || n > 1 ? String(cell).padStart(widths[n]) : String(cell).padEnd(widths[n]))).join('  '));
  }
}

export const figure = (name, value, unit) => console.log(`figure ${name} ${value} ${unit}`);
