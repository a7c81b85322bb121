// The whole road: a real browser does each thing once on the demo page and leaves at once; then the query API returns
// exactly those events, once each, and the dashboard shows them.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { root, startBrowser, startService } from './service.mjs';

const here = dirname(fileURLToPath(import.meta.url));

let base;
let shop;
let ask;
let service;
let browser;

before(async () => {
  // The store is empty: what the tests find in it is what they did.
  service = await startService();
  ({ base, shop, ask } = service);
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

const events = async () => {
  const now = Date.now();
  const { events, next } = await ask('/query/events', { project: 'shop', from: now - 3_600_000, to: now + 60_000, order: 'oldest', limit: 1000 });
  assert.equal(next, null);
  return events;
};

/** Waits until the condition holds for what the query API returns; then a little longer, for what comes too much. */
const eventually = async (enough) => {
  const deadline = Date.now() + 30_000;
  let found = [];
  while (Date.now() < deadline) {
    found = await events();
    if (enough(found)) break;
    await new Promise((wait) => setTimeout(wait, 200));
  }
  await new Promise((wait) => setTimeout(wait, 2_500));
  return events();
};

const tally = (list) => Object.fromEntries([...list.reduce((all, key) => all.set(key, (all.get(key) ?? 0) + 1), new Map())].sort());

test('the events of a page are queryable exactly once, with the right kinds, names and page', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
  const page = await context.newPage();
  await page.goto(shop);
  await page.waitForFunction(() => 'MonitorKit' in window);
  await page.waitForTimeout(600);
  const answered = (path) => page.waitForResponse((response) => response.url().includes(path));
  await page.click('#throw');
  await page.click('#reject');
  await Promise.all([answered('/shop/api/checkout'), page.click('#fail-request')]);
  await Promise.all([answered('/shop/api/cart'), page.click('#ok-request')]);
  await Promise.all([answered('/shop/missing.png'), page.click('#missing-image')]);
  await page.click('#shift-layout');
  await page.waitForSelector('.banner');
  await page.click('#slow-click');
  await page.click('#track');
  await page.click('#page-cart');
  assert.equal(await page.evaluate(() => location.pathname), '/shop/cart');
  // Away at once: nothing waits for a timer.
  await page.goto('about:blank');

  const wanted = {
    click: 9, page_view: 2, 'error:TypeError': 1, 'error:RangeError': 1, 'error:ResourceError': 1, 'request:200': 1, 'request:500': 1,
    'track:purchase': 1, 'vital:CLS': 1, 'vital:FCP': 1, 'vital:FP': 1, 'vital:INP': 1, 'vital:LCP': 1, 'vital:TTFB': 1,
    navigation: 1, scroll_depth: 2,
  };
  const label = ({ kind, name, status }) => (kind === 'request' ? `request:${status}` : ['error', 'track', 'vital'].includes(kind) ? `${kind}:${name}` : kind);
  // How many resources and long frames there are is the browser's business; the second page is hardly seen.
  const depends = ['resource', 'longtask', 'time_on_page'];
  const total = Object.values(wanted).reduce((sum, n) => sum + n, 0);
  const found = await eventually((list) => list.filter(({ kind }) => !depends.includes(kind)).length >= total);
  assert.deepEqual(tally(found.filter(({ kind }) => !depends.includes(kind)).map(label)), Object.fromEntries(Object.entries(wanted).sort()));
  assert.ok(depends.every((kind) => found.some((event) => event.kind === kind)), 'resources, the frame that was blocked, the time on the page');

  assert.equal(new Set(found.map(({ id }) => id)).size, found.length, 'ids are unique');
  assert.equal(new Set(found.map(({ session }) => session)).size, 1, 'one session');
  assert.ok(found.every(({ release, environment, browser, os }) => release === 'shop@1.0.0' && environment === 'demo' && browser && os));
  const one = (match) => { const list = found.filter(match); assert.equal(list.length, 1); return list[0]; };
  const error = one(({ name }) => name === 'TypeError');
  assert.match(error.message, /undefined/);
  assert.match(error.fingerprint, /^[0-9a-f]{16}$/);
  assert.match(error.data.stack, /shop\.js/);
  assert.ok(error.data.breadcrumbs.length > 0);
  assert.equal(error.route, '/shop/');
  assert.equal(one(({ name }) => name === 'RangeError').data.mechanism, 'onunhandledrejection');
  assert.match(one(({ name }) => name === 'ResourceError').target, /\/shop\/missing\.png$/);
  const failed = one(({ status }) => status === 500);
  assert.deepEqual([failed.method, failed.failure], ['POST', 'http']);
  assert.doesNotMatch(JSON.stringify(found), /not-for-the-dashboard/, 'secrets of URLs never arrive');
  assert.equal(one(({ kind }) => kind === 'track').value, 9.5);
  assert.deepEqual(found.filter(({ kind }) => kind === 'page_view').map(({ route }) => route), ['/shop/', '/shop/cart']);
  assert.ok(found.filter(({ kind }) => kind === 'vital' || kind === 'navigation').every(({ value, route }) => value >= 0 && route === '/shop/'), 'vitals belong to the page that was loaded');
  assert.ok(one(({ name }) => name === 'CLS').value > 0.01, 'the shift was seen');
  assert.ok(one(({ name }) => name === 'INP').value >= 200, 'the blocked click was seen');
  assert.deepEqual(
    found.filter(({ kind }) => kind === 'click').map(({ target }) => target.match(/#([\w-]+)/)?.[1]).sort(),
    ['fail-request', 'missing-image', 'ok-request', 'page-cart', 'reject', 'shift-layout', 'slow-click', 'throw', 'track'],
  );
  await context.close();
});

test('the dashboard shows them', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(`${base}/`);
  await page.waitForFunction(() => /LCP/.test(document.body.innerText) && /Page views/i.test(document.body.innerText));
  await page.waitForTimeout(2_500);
  const output = resolve(root, 'test-output/e2e');
  mkdirSync(output, { recursive: true });
  await page.screenshot({ path: join(output, 'overview.png') });
  await page.getByRole('link', { name: 'Errors' }).first().click();
  await page.getByText('RangeError').first().waitFor();
  await page.screenshot({ path: join(output, 'errors.png') });
  await page.getByText('TypeError').first().click();
  await page.getByText('shop.js').first().waitFor();
  await page.screenshot({ path: join(output, 'error.png') });
  assert.deepEqual(problems, []);
  await context.close();
});

test('a live viewer sees an event as it arrives, and the query API returns it once', async () => {
  const live = await fetch(`${base}/live?project=shop&kinds=track`);
  assert.equal(live.status, 200);
  const reader = live.body.pipeThrough(new TextDecoderStream()).getReader();
  const sent = Date.now();
  const id = '0193480e7c1b7cc2a5d2c0a1f1e2d3c4';
  const envelope = { v: 1, sent_at: sent, events: [{ id, kind: 'track', name: 'seen-live', time: sent }] };
  const answer = await fetch(`${base}/api/shop/events?key=demo-key`, { method: 'POST', body: JSON.stringify(envelope) });
  assert.deepEqual([answer.status, await answer.json()], [202, { accepted: 1, rejected: [] }]);
  let text = '';
  while (!text.includes('seen-live')) {
    const { value, done } = await reader.read();
    assert.ok(!done, text);
    text += value;
  }
  console.log(`seen live after ${Date.now() - sent} ms`);
  await reader.cancel();
  const found = await eventually((list) => list.some(({ name }) => name === 'seen-live'));
  assert.equal(found.filter(({ name }) => name === 'seen-live').length, 1);
});

/** An hour of a small shop, for the picture in the README. */
const seed = async () => {
  const uuid = () => crypto.randomUUID();
  const near = (middle, spread) => middle * Math.exp((Math.random() + Math.random() + Math.random() - 1.5) * spread);
  const routes = ['/shop/', '/shop/cart', '/shop/account', '/product/:id', '/search'];
  const now = Date.now();
  for (let visit = 0; visit < 420; visit += 1) {
    const time = now - 3_540_000 + Math.round(visit * 8_400 + Math.random() * 20_000 * Math.sin(visit / 40) ** 2);
    const route = routes[Math.floor(Math.random() ** 1.6 * routes.length)];
    const slow = visit > 250 && visit < 310 ? 1.8 : 1;
    const vital = (name, value) => ({ id: uuid(), kind: 'vital', name, value, time, attributes: { target: 'main > img' } });
    const requests = Array.from({ length: 3 }, () => {
      const bad = Math.random() < 0.03 * slow * slow;
      const attributes = { method: 'GET', status: bad ? '502' : '200', target: `${shop}api/cart`, ...(bad && { failure: 'http' }) };
      return { id: uuid(), kind: 'request', name: 'fetch', value: near(140, 1), time, attributes };
    });
    const errors = Math.random() < 0.06 * slow ? [{
      id: uuid(), kind: 'error', name: 'TypeError', time,
      data: { message: "Cannot read properties of undefined (reading 'price')", stack: `TypeError: x\n    at total (${shop}cart.js:${visit}:7)`, handled: false },
    }] : [];
    const events = [
      { id: uuid(), kind: 'page_view', name: 'page_view', time }, ...requests, ...errors,
      vital('LCP', near(1_700, 1) * slow), vital('FCP', near(900, 1) * slow), vital('TTFB', near(300, 1.2) * slow), vital('INP', near(110, 1.6)), vital('CLS', near(0.04, 2.5)),
    ];
    const envelope = {
      v: 1, events, release: 'shop@1.0.0', environment: 'demo', page: { id: uuid(), route, url: `${shop}?r=${visit}` },
      session: { id: `s${visit % 300}`, visitor: `v${visit % 260}` },
    };
    const answer = await fetch(`${base}/api/shop/events?key=demo-key`, { method: 'POST', body: JSON.stringify(envelope) });
    assert.equal(answer.status, 202);
  }
};

if (process.env.MONITOR_SCREENSHOT) {
  test('the picture in the README shows an hour of a small shop', async () => {
    await seed();
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.goto(`${base}/#/overview?range=1h`);
    await page.waitForFunction(() => /LCP/.test(document.body.innerText) && /Page views/i.test(document.body.innerText));
    await page.waitForTimeout(4_000);
    await page.screenshot({ path: resolve(here, process.env.MONITOR_SCREENSHOT) });
    await context.close();
  });
}
