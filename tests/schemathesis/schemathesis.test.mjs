// Questions made from openapi.json, sensible and not, to the real service over the embedded engine: no answer is a server error, and each is as
// described. MONITOR_EXAMPLES asks more of them than in a usual run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freeAddress } from '../free-port.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const receiver = process.env.MONITOR_QUICKSTART ?? join(root, 'target/debug/examples/quickstart');
const schemathesis = join(root, 'target/schemathesis/venv/bin/schemathesis');
const token = 'token-of-the-schemathesis-run';

let base;
let server;
let data;

before(async () => {
  data = mkdtempSync(join(tmpdir(), 'monitor-schemathesis-'));
  const [listen, shop, internal] = await Promise.all([freeAddress(), freeAddress(), freeAddress()]);
  base = `http://${listen}`;
  server = spawn(receiver, ['--listen', listen, '--shop', shop, '--internal', internal, '--data', data, '--token', token], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((ready, failed) => {
    server.once('exit', (code) => failed(new Error(`the receiver ended with ${code}`)));
    server.stdout.on('data', (text) => { if (String(text).includes('ready')) ready(); });
  });
  await report();
});

after(async () => {
  if (server && server.exitCode === null) {
    const ended = new Promise((done) => server.once('exit', done));
    server.kill('SIGTERM');
    assert.equal(await ended, 0, 'the receiver ends with 0 after SIGTERM');
  }
  if (data) rmSync(data, { recursive: true, force: true });
});

// A little of everything, so that answers have rows.
async function report() {
  const now = Date.now();
  const kinds = ['error', 'message', 'vital', 'navigation', 'request', 'page_view', 'click', 'track', 'session'];
  const events = kinds.flatMap((kind, n) => [0, 1, 2].map((m) => ({
    kind, name: kind === 'vital' ? 'LCP' : `${kind} ${m}`, value: 100 * n + m, time: now - m * 60_000, attributes: { plan: 'pro', status: '500' }, data: { message: 'gone', stack: 'E: gone\n    at a (https://shop.example/a.js:1:2)' },
  })));
  const envelope = { v: 1, sent_at: new Date(now).toISOString(), release: '=1.0', session: { id: 's1', visitor: 'v1' }, page: { id: 'p1', url: 'https://shop.example/cart', route: '/cart' }, tags: { team: 'till' }, events };
  const answer = await fetch(`${base}/api/shop/events?key=demo-key`, { method: 'POST', body: JSON.stringify(envelope) });
  assert.equal(answer.status, 202, await answer.text());
  const question = { project: 'shop', from: now - 3_600_000, to: now + 3_600_000, measures: ['count'] };
  for (let patience = 100; ; patience--) {
    const stored = await fetch(`${base}/query`, { method: 'POST', body: JSON.stringify(question), headers: { authorization: `Bearer ${token}` } });
    if (stored.status === 200 && (await stored.json()).rows[0]?.[0] === events.length) return;
    assert.ok(patience > 0, `not stored: ${stored.status}`);
    await new Promise((later) => setTimeout(later, 200));
  }
}

test('every answer is as described, whatever the question', { timeout: 1_200_000 }, async () => {
  const args = [
    '--config-file', join(here, 'schemathesis.toml'), 'run', `${base}/openapi.json`, '--url', base,
    '--header', `Authorization: Bearer ${token}`, '--phases', 'examples,coverage,fuzzing', '--max-examples', process.env.MONITOR_EXAMPLES ?? '40', '--checks', 'all',
    // Streams do not end; tests/live.rs of the crate has them.
    '--exclude-path-regex', '^/live', '--request-timeout', '30', '--suppress-health-check', 'all', '--no-color', '--generation-database', 'none',
  ];
  const env = { ...process.env, SCHEMATHESIS_HOOKS: 'hooks', PYTHONPATH: here, PYTHONDONTWRITEBYTECODE: '1' };
  const run = spawn(schemathesis, args, { cwd: data, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [run.stdout, run.stderr]) stream.on('data', (text) => { said += text; });
  const code = await new Promise((done) => run.once('exit', done));
  if (process.env.MONITOR_VERBOSE) console.log(said);
  assert.equal(code, 0, said);
  assert.equal(server.exitCode, null, 'the receiver still runs');
});
