// What the tests of this folder share: the real service on free ports with a folder of its own, a browser, and questions to the query API.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { freeAddress } from '../free-port.mjs';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const receiver = process.env.MONITOR_QUICKSTART ?? join(root, 'target/debug/examples/quickstart');
const loadgen = process.env.MONITOR_LOADGEN ?? join(root, 'target/debug/loadgen');
const engine = process.env.MONITOR_ENGINE ?? join(root, 'target/debug/monitor-engine');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Runs a program to its end. */
const run = (program, args) => new Promise((done, failed) => {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  child.once('error', failed);
  child.once('exit', (code) => (code === 0 ? done() : failed(new Error(`${program} ended with ${code}`))));
});

/**
 * Starts the service with an empty store or, with `traffic`, one that was filled before: so many events of so many days up to a time. The same
 * seed gives the same visitors.
 */
export async function startService({ traffic } = {}) {
  const data = mkdtempSync(join(tmpdir(), 'monitor-e2e-'));
  let server;
  const stop = async () => {
    if (server && server.exitCode === null) {
      const ended = new Promise((done) => server.once('exit', done));
      server.kill('SIGTERM');
      assert.equal(await ended, 0, 'the receiver ends with 0 after SIGTERM');
    }
    rmSync(data, { recursive: true, force: true });
  };
  try {
    if (traffic) {
      const wishes = Object.entries({ ...traffic, seed: 1, engine, data: join(data, 'clickhouse') }).flatMap(([name, value]) => [`--${name}`, String(value)]);
      await run(loadgen, ['store', ...wishes]);
    }
    const [listen, shop, internal] = await Promise.all([freeAddress(), freeAddress(), freeAddress()]);
    server = spawn(receiver, ['--listen', listen, '--shop', shop, '--internal', internal, '--data', data], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((ready, failed) => {
      server.once('error', failed);
      server.once('exit', (code) => failed(new Error(`the receiver ended with ${code}`)));
      server.stdout.on('data', (text) => { if (String(text).includes('ready')) ready(); });
    });
    const base = `http://${listen}`;
    return { base, shop: `http://${shop}/shop/`, internal: `http://${internal}`, ask: (path, question) => ask(base, path, question), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ask(base, path, question) {
  const answer = await fetch(`${base}${path}`, { method: 'POST', body: JSON.stringify(question), headers: { 'content-type': 'application/json' } });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

export const startBrowser = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
