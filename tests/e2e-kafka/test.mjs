// The Kafka road as users deploy it: a real browser, nginx, two receivers, Kafka, two consumers, the engine, the query API.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { ask } from './ask.mjs';
import { startLoad } from './load.mjs';
import { startPages } from './pages.mjs';
import { until } from './process.mjs';
import { DEAD_LETTERS, GROUP, PARTITIONS, TOPICS, startScene } from './scene.mjs';

const partitioner = fileURLToPath(new URL('Partition.java', import.meta.url));
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

let scene;
let pages;
let browser;

before(async () => {
  const began = Date.now();
  scene = await startScene();
  pages = await startPages(scene);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
  console.log(`everything runs after ${Date.now() - began} ms`);
});

after(async () => {
  await browser?.close();
  await pages?.stop();
  assert.deepEqual(await scene?.stop() ?? [], [], 'everything ends well when it is told to');
});

const tally = (list) => Object.fromEntries([...list.reduce((all, key) => all.set(key, (all.get(key) ?? 0) + 1), new Map())].sort());
const once = (events) => assert.equal(new Set(events.map(({ id }) => id)).size, events.length, 'every id is there once');

/** The topic of a kind, as the documentation has it. */
const topicOf = (kind) => {
  if (['error', 'message', 'csp', 'report', 'blank_screen', 'console'].includes(kind)) return 'monitor.errors';
  return ['vital', 'navigation', 'resource', 'request', 'longtask', 'span'].includes(kind) ? 'monitor.performance' : 'monitor.behavior';
};

/** What Kafka's console consumer prints of all topics. */
async function records(topics) {
  const sizes = await scene.kafka.sizes(...topics);
  const lists = await Promise.all(topics.map((topic) => scene.kafka.records(topic, sizes[topic].reduce((sum, size) => sum + size, 0))));
  return lists.flat();
}

/** The partitions that Java names for the keys. */
async function partitionsOf(strategy, keys) {
  const java = spawn('java', ['-cp', scene.kafka.classpath, partitioner, strategy, `${PARTITIONS}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  java.stdin.end(keys.join('\n'));
  let answer = '';
  for await (const text of java.stdout) answer += text;
  return answer.trim().split('\n').map(Number);
}

/** Sends an envelope of a hand-made client, and gives the ids of its events. */
async function send(base, { from, headers, ...envelope }) {
  const events = envelope.events.map((event) => ({ id: randomUUID(), time: Date.now(), ...event }));
  const body = JSON.stringify({ v: 1, sent_at: Date.now(), release: 'by-hand', ...envelope, events });
  const answer = await ask(`${base}/api/shop/events?key=demo-key`, { method: 'POST', body, from, headers });
  assert.deepEqual([answer.status, answer.json?.accepted], [202, events.length], answer.body);
  return events.map(({ id }) => id);
}

test('what a page did is what the query API returns, each once', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
  const page = await context.newPage();
  await page.goto(`${pages.origin}/shop/`);
  await page.waitForFunction(() => 'MonitorKit' in window);
  await page.waitForTimeout(600);
  const answered = (path) => page.waitForResponse((response) => response.url().includes(path));
  await page.click('#throw');
  await page.click('#reject');
  await Promise.all([answered('/shop/api/checkout'), page.click('#fail-request')]);
  await Promise.all([answered('/shop/api/cart'), page.click('#ok-request')]);
  await page.click('#shift-layout');
  await page.waitForSelector('.banner');
  await page.click('#slow-click');
  await page.click('#track');
  await page.click('#page-cart');
  await page.goto('about:blank');

  const wanted = {
    click: 8, page_view: 2, 'error:TypeError': 1, 'error:RangeError': 1, 'request:200': 1, 'request:500': 1, 'track:purchase': 1,
    'vital:CLS': 1, 'vital:FCP': 1, 'vital:FP': 1, 'vital:INP': 1, 'vital:LCP': 1, 'vital:TTFB': 1, navigation: 1, scroll_depth: 2,
  };
  const label = ({ kind, name, status }) => (kind === 'request' ? `request:${status}` : ['error', 'track', 'vital'].includes(kind) ? `${kind}:${name}` : kind);
  // How many of these there are is the browser's business.
  const certain = (list) => list.filter(({ kind }) => !['resource', 'longtask', 'time_on_page'].includes(kind));
  const total = Object.values(wanted).reduce((sum, n) => sum + n, 0);
  const found = await scene.eventually('shop', (list) => certain(list).length >= total, 'shop@1.0.0');
  assert.deepEqual(tally(certain(found).map(label)), Object.fromEntries(Object.entries(wanted).sort()));
  once(found);
  assert.equal(new Set(found.map(({ session }) => session)).size, 1, 'one session');
  // One page, and after its click another view: each counts its events from 0, and none is missing.
  for (const view of new Set(found.map(({ page }) => page))) {
    const seqs = found.filter((event) => event.page === view).map(({ seq }) => seq).sort((a, b) => a - b);
    assert.deepEqual(seqs, seqs.map((_, index) => index));
  }
  const one = (name) => found.find((event) => event.name === name);
  assert.match(one('TypeError').data.stack, /shop\.js/);
  assert.equal(one('TypeError').exceptions[0].name, 'TypeError');
  assert.ok(one('TypeError').data.breadcrumbs.length > 0);
  assert.equal(one('purchase').value, 9.5);
  assert.ok(found.every(({ browser, os, ip }) => browser && os && ip === '127.0.0.0'));
  assert.doesNotMatch(JSON.stringify(found), /not-for-the-dashboard/, 'secrets of URLs never arrive');
  await context.close();
});

test('events that a page sends over a WebSocket pass nginx, and are there once', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const frames = { sent: 0, answered: [] };
  page.on('websocket', (socket) => {
    socket.on('framesent', () => { frames.sent += 1; });
    socket.on('framereceived', ({ payload }) => frames.answered.push(JSON.parse(payload)));
  });
  const opened = page.waitForEvent('websocket');
  await page.goto(`${pages.origin}/socket?release=socket`);
  await page.waitForFunction(() => 'kit' in window);
  // The first goes by fetch, while the socket is being opened.
  await page.evaluate(async () => {
    window.kit.track('first');
    await window.kit.flush(10_000);
  });
  await opened;
  for (let n = 1; frames.answered.length < 3; n += 1) {
    assert.ok(n < 50, 'the socket is used');
    assert.ok(await page.evaluate(async (n) => {
      window.kit.track(`later-${n}`);
      return window.kit.flush(10_000);
    }, n));
  }
  assert.equal(frames.sent, frames.answered.length);
  assert.ok(frames.answered.every(({ status, accepted, rejected }) => status === 202 && accepted > 0 && !rejected.length), JSON.stringify(frames.answered));
  // Leaving closes the socket: what comes last goes another way.
  await page.evaluate(() => window.kit.track('last'));
  await page.goto('about:blank');
  const found = await scene.eventually('shop', (list) => list.some(({ name }) => name === 'last'), 'socket');
  once(found);
  const names = found.filter(({ kind }) => kind === 'track').map(({ name }) => name).sort();
  const later = names.filter((name) => name.startsWith('later-'));
  assert.deepEqual(names, [...new Set(['first', 'last', ...later])].sort());
  assert.ok(later.length >= 3);
  assert.ok(scene.proxy.answered().some(({ path, status }) => path === '/api/shop/ws' && status === 101), 'nginx wrote it down');
  await context.close();
});

test('a beacon of a page that is left passes nginx, and what the next visit repeats is not doubled', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => {
    const native = navigator.sendBeacon.bind(navigator);
    navigator.sendBeacon = (...args) => {
      const taken = native(...args);
      localStorage.beacons = Number(localStorage.beacons ?? 0) + taken;
      return taken;
    };
  });
  await page.goto(`${pages.origin}/beacon?release=beacon`);
  await page.waitForFunction(() => 'kit' in window);
  // So late that nothing but a beacon can take it.
  await page.evaluate(() => addEventListener('pagehide', () => {
    window.kit.track('bye');
    window.kit.captureException(new RangeError('just before leaving'));
  }));
  await page.goto(`${pages.origin}/dist/`);
  assert.ok(await page.evaluate(() => Number(localStorage.beacons)) >= 1, 'sendBeacon took it');
  await scene.eventually('shop', (list) => ['bye', 'RangeError'].every((name) => list.some((event) => event.name === name)), 'beacon');
  // Nobody told the page that the beacon arrived: its outbox hands it to the next visit, which sends it again. Unless the browser ended
  // the page before its last write, which was begun in this moment, too.
  const repeated = page.waitForRequest((request) => {
    const { attempt, events } = JSON.parse((request.url().includes('/api/') && request.postData()) || '{}');
    return attempt > 1 && events.some(({ name }) => name === 'bye');
  }, { timeout: 8_000 }).catch(() => undefined);
  await page.goto(`${pages.origin}/beacon?release=beacon`);
  assert.equal((await (await repeated)?.response())?.status() ?? 202, 202);
  await page.goto('about:blank');
  const found = await scene.eventually('shop', (list) => list.filter(({ kind }) => kind === 'page_view').length === 2, 'beacon');
  once(found);
  assert.deepEqual(tally(found.filter(({ kind }) => ['track', 'error'].includes(kind)).map(({ name }) => name)), { RangeError: 1, bye: 1 });
  await context.close();
});

test('the address of a client is what nginx saw, whatever the client or a stranger says', async () => {
  const forged = { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9', 'x-real-ip': '203.0.113.9' };
  const event = (name) => ({ events: [{ kind: 'track', name }] });
  await send(scene.front, { ...event('honest'), from: '127.5.6.7' });
  await send(scene.front, { ...event('forged'), from: '127.6.7.8', headers: forged });
  // Not through nginx, and not from its address: the receiver has no reason to believe it.
  await send(scene.receivers[0].url, { ...event('stranger'), from: '127.7.8.9', headers: forged });
  const found = await scene.eventually('shop', (list) => list.length >= 3, 'by-hand');
  assert.deepEqual(Object.fromEntries(found.map(({ name, ip }) => [name, ip])), { honest: '127.5.6.0', forged: '127.6.7.0', stranger: '127.7.8.0' });
});

test('what Kafka’s own tools print: keys, partitions, headers, order, and the same events as the query API', async () => {
  // Of each fallback of the key one, then a crowd of sessions over both receivers.
  await send(scene.front, { release: 'keys', session: { id: 's-1', visitor: 'v-1' }, page: { id: 'p-1' }, events: [{ kind: 'track', name: 'session' }] });
  await send(scene.front, { release: 'keys', session: { visitor: 'v-2' }, page: { id: 'p-2' }, events: [{ kind: 'track', name: 'visitor' }] });
  await send(scene.front, { release: 'keys', page: { id: 'p-3' }, events: [{ kind: 'track', name: 'page' }] });
  const [own] = await send(scene.front, { release: 'keys', events: [{ kind: 'custom_kind', name: 'own' }] });
  const load = startLoad(`${scene.front}/api/load/events?key=load-key`, { clients: 16, envelopes: 25, pause: 0 });
  await load.done;
  assert.deepEqual(load.answers, { 202: 16 * 25 });
  const busy = tally(scene.proxy.answered().filter(({ path }) => path === '/api/load/events').flatMap(({ upstreams }) => upstreams));
  assert.deepEqual(Object.keys(busy).sort(), scene.receivers.map(({ address }) => address).sort(), 'both receivers work');
  const stored = [...await scene.eventually('load', (list) => list.length >= load.accepted.size), ...await scene.events('shop')];

  const members = await scene.kafka.members(GROUP);
  const owned = tally(members.filter(({ owner }) => owner !== '-').map(({ owner }) => owner));
  assert.equal(Object.keys(owned).length, 2, JSON.stringify(owned));
  assert.equal(new Set(members.map(({ topic, partition }) => `${topic}/${partition}`)).size, TOPICS.length * PARTITIONS, 'every partition has its owner');
  console.log(`partitions of each consumer: ${Object.values(owned).join(', ')}`);

  const all = await records([...TOPICS, DEAD_LETTERS]);
  assert.deepEqual(all.filter(({ topic }) => topic === DEAD_LETTERS), []);
  const messages = all.map((record) => ({ ...record, event: JSON.parse(record.value) }));

  // The same events.
  const documents = new Map(stored.map((document) => [document.id, document]));
  for (const { topic, headers, key, event } of messages) {
    const { project, kind, session, visitor, page, id } = event;
    assert.equal(topic, topicOf(kind));
    assert.deepEqual(headers, { project, kind, schema: '1', 'content-type': 'application/json' });
    assert.deepEqual(Object.keys(event).slice(0, 6), ['id', 'time', 'received', 'kind', 'name', 'project']);
    assert.equal(key, session || visitor || page || id);
    assert.ok(!('exceptions' in event));
    const empty = Object.entries(event).filter(([, value]) => value === '' || value === null || JSON.stringify(value) === '{}');
    assert.deepEqual(empty.filter(([field]) => field !== 'name'), [], 'what is empty is left out');
    // A second copy of an event has its own time of arrival, and `attempt`; the first one is stored.
    if (event.attempt > 1) continue;
    const { exceptions: _, ...document } = documents.get(id) ?? assert.fail(`${id} is not stored`);
    const { attempt: __, ...rest } = event;
    const defaults = Object.fromEntries(Object.entries(document).filter(([field, value]) => !(field in rest) && (value === '' || value === null || value === 0 || JSON.stringify(value) === '{}')));
    assert.deepEqual({ ...defaults, ...rest }, document);
  }
  assert.deepEqual(new Set(messages.map(({ event }) => event.id)), new Set(documents.keys()), 'nothing else is stored');
  const keys = Object.fromEntries(messages.filter(({ event }) => event.release === 'keys').map(({ key, event }) => [event.name, key]));
  assert.deepEqual(keys, { session: 's-1', visitor: 'v-2', page: 'p-3', own });

  // The partition that Java's producer would choose.
  const named = await partitionsOf('murmur2', messages.map(({ key }) => key));
  assert.deepEqual(messages.map(({ partition }) => partition), named);
  assert.ok(new Set(named).size >= PARTITIONS / 2, 'the keys spread');

  // In the order in which they were sent. Clients of the load wait for each answer. A browser that leaves a page sends what it has side by side,
  // without waiting: which of these requests comes first is nobody's promise.
  const sideBySide = 1_000;
  const latest = new Map();
  let compared = 0;
  for (const { topic, partition, event } of messages.sort((a, b) => a.partition - b.partition || a.offset - b.offset)) {
    const { project, session, page, seq, received, attempt } = event;
    if (seq === undefined || attempt > 1) continue;
    const sequence = [topic, session, page].join();
    const before = latest.get(sequence);
    if (before) {
      assert.equal(partition, before.partition, 'a session stays in one partition');
      const atOnce = project === 'shop' && Math.abs(received - before.received) < sideBySide;
      assert.ok(seq > before.seq || atOnce, `${sequence}: ${seq} of ${received} comes after ${before.seq} of ${before.received}`);
      compared += 1;
    }
    latest.set(sequence, { partition, seq, received });
  }
  assert.ok(compared > 1_500, `${compared} comparisons`);
});

test('with crc32 and users as keys, messages are where librdkafka’s other clients expect them', async () => {
  const settings = { MONITOR__KAFKA__PARTITIONER: 'crc32', MONITOR__KAFKA__KEY: 'user', MONITOR__KAFKA__TOPICS__PREFIX: 'crc.' };
  await scene.createTopics(settings);
  const receiver = await scene.newReceiver('receiver-crc32', settings);
  for (let n = 0; n < 60; n += 1) {
    await send(receiver.url, { release: 'crc', session: { id: `s-${n}`, visitor: `v-${n}`, user: { id: `üser ${n}` } }, events: [{ kind: 'track', name: 'crc' }] });
  }
  await receiver.drained();
  assert.equal(await receiver.stop(), 0);
  const messages = await records(['crc.monitor.behavior']);
  assert.deepEqual(messages.map(({ key }) => key).sort(), Array.from({ length: 60 }, (_, n) => `üser ${n}`).sort());
  const chosen = messages.map(({ partition }) => partition);
  assert.deepEqual(chosen, await partitionsOf('crc32', messages.map(({ key }) => key)));
  assert.notDeepEqual(chosen, await partitionsOf('murmur2', messages.map(({ key }) => key)));
});

test('receivers that are stopped, killed and started again under load lose and double nothing', async () => {
  const before = new Set((await scene.events('load')).map(({ id }) => id));
  const load = startLoad(`${scene.front}/api/load/events?key=load-key`, { clients: 16, pause: 20 });
  const more = async (count) => {
    const wanted = load.accepted.size + count;
    await Promise.race([until(`${count} more events are accepted`, () => load.accepted.size >= wanted), load.done.then(() => assert.fail('the load has ended'))]);
  };
  /** Until clients come back to a receiver that was away. */
  const comesBack = (receiver) => {
    const seen = scene.proxy.answered().length;
    return until(`${receiver.name} gets requests again`, () => scene.proxy.answered().slice(seen).some(({ upstreams, status }) => status === 202 && upstreams.at(-1) === receiver.address));
  };
  const [first, second] = scene.receivers;
  await more(500);

  assert.equal(await first.stop('SIGTERM'), 0, 'a receiver that is told to stop ends well');
  await more(500);
  const stopped = { ...load.answers };
  await first.start();
  await comesBack(first);

  assert.equal(await second.stop('SIGKILL'), 'SIGKILL');
  await more(500);
  await second.start();
  await comesBack(second);
  await more(500);
  await load.stop();

  console.log(`${load.accepted.size} events accepted; answers until the SIGTERM was over: ${JSON.stringify(stopped)}, at the end: ${JSON.stringify(load.answers)}`);
  const all = await scene.eventually('load', (list) => list.length >= before.size + load.accepted.size);
  once(all);
  const found = all.filter(({ id }) => !before.has(id));
  const ids = new Set(found.map(({ id }) => id));
  const missing = [...load.accepted.keys()].filter((id) => !ids.has(id));
  assert.deepEqual([missing.length, found.length], [0, load.accepted.size], 'all that was accepted, and nothing else');
  for (const { id, session, page, seq, kind, name, value } of found) {
    const sent = load.accepted.get(id);
    assert.deepEqual([session, page, seq, kind, name, value], [sent.session, sent.page, sent.seq, sent.kind, sent.name, sent.value]);
  }
});
