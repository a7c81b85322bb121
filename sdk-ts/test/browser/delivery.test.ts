import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium, type BrowserContext, type Page} from 'playwright-core';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {accepted, startCollector, type Collector, type ReceivedEvent} from './collector.js';

let collector: Collector;
let browser: BrowserContext;
let profile: string;
let page: Page;
/** What the page's console said: the SDK must not add to it. */
let pageErrors: string[];

beforeEach(async () => {
  collector = await startCollector();
  profile = await mkdtemp(join(tmpdir(), 'monitor-kit-chromium-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    headless: true,
    // Playwright switches the back/forward cache off; real users have it.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  page = await browser.newPage();
  pageErrors = [];
  page.on('pageerror', (error) => pageErrors.push(String(error)));
});

afterEach(async () => {
  await browser.close();
  await collector.close();
  await rm(profile, {recursive: true, force: true});
});

const dsn = (): string => collector.origin.replace('//', '//public@') + '/shop';

function html(body: string, attributes = ''): string {
  return `<!doctype html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,">
    <script src="/sdk/monitor.js" data-dsn="${dsn()}" data-release="1.4.0" data-environment="test" ${attributes}></script>
    </head><body>${body}</body></html>`;
}

const events = (): ReceivedEvent[] => collector.received.filter(({status}) => status === 202).flatMap(({envelope}) => envelope.events);
const named = (kind: string, name?: string): ReceivedEvent[] => events().filter((event) => event.kind === kind && (!name || event.name === name));

async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!condition() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Long enough for a duplicate to show up. */
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 600));

test('a page that is left at once delivers each of its events exactly once', async () => {
  collector.pages = {
    '/': html(`<h1 style="font-size:80px">Welcome to the shop</h1>
      <button id="buy" class="primary">Buy</button>
      <script>
        function breakEverything() {
          setTimeout(() => { throw new TypeError('cart is broken'); });
          Promise.reject(new RangeError('nobody catches me'));
          fetch('/missing?token=hunter2').catch(() => {});
          fetch('http://127.0.0.1:1/').catch(() => {});
          document.body.append(Object.assign(new Image(), {src: '/no-such-image.png?sig=abc'}));
        }
        document.getElementById('buy').addEventListener('click', breakEverything);
      </script>`),
    '/next': '<!doctype html><title>Next</title><p>bye',
  };
  await page.goto(`${collector.origin}/?step=2&access_token=hunter2#frag`);
  await page.waitForTimeout(100);
  // Once all of it happened, but long before the five seconds of the timer.
  const failed = Promise.all([
    page.waitForEvent('requestfailed'),
    page.waitForResponse(/missing/),
    page.waitForResponse(/no-such-image/),
  ]);
  await page.click('#buy');
  await failed;
  await page.goto(`${collector.origin}/next`);
  await until(() => named('vital').length >= 5);
  await quiet();

  const ids = events().map(({id}) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const count = (kind: string, name?: string): number => named(kind, name).length;
  expect({
    TypeError: count('error', 'TypeError'),
    RangeError: count('error', 'RangeError'),
    ResourceError: count('error', 'ResourceError'),
    page_view: count('page_view'),
    click: count('click'),
    fetch: count('request', 'fetch'),
    LCP: count('vital', 'LCP'),
    CLS: count('vital', 'CLS'),
    INP: count('vital', 'INP'),
    FCP: count('vital', 'FCP'),
    TTFB: count('vital', 'TTFB'),
    navigation: count('navigation'),
    time_on_page: count('time_on_page'),
    scroll_depth: count('scroll_depth'),
  }).toEqual({
    TypeError: 1,
    RangeError: 1,
    ResourceError: 1,
    page_view: 1,
    click: 1,
    fetch: 2,
    LCP: 1,
    CLS: 1,
    INP: 1,
    FCP: 1,
    TTFB: 1,
    navigation: 1,
    time_on_page: 1,
    scroll_depth: 1,
  });
  // How many resources and long frames there are is the browser's business; but none of them is missing.
  expect(events().map(({seq}) => seq).sort((a, b) => a - b)).toEqual(events().map((_, index) => index));

  const [first] = collector.received;
  expect(first).toMatchObject({url: '/api/shop/events?key=public', contentType: 'text/plain;charset=UTF-8'});
  expect(first!.envelope).toMatchObject({
    v: 1,
    attempt: 1,
    sdk: {name: 'monitor-kit.browser', version: '0.1.0'},
    release: '1.4.0',
    environment: 'test',
    page: {route: '/', title: 'Shop', url: `${collector.origin}/?step=2&access_token=[scrubbed]#frag`},
  });
  expect(named('error', 'TypeError')[0]!.data).toMatchObject({
    message: 'cart is broken',
    mechanism: 'onerror',
    handled: false,
    stack: expect.stringContaining('TypeError: cart is broken\n    at '),
    breadcrumbs: expect.arrayContaining([expect.objectContaining({category: 'click', message: '#buy'})]),
  });
  expect(named('error', 'ResourceError')[0]!.attributes).toEqual({target: `${collector.origin}/no-such-image.png`});
  expect(named('request').map(({attributes}) => attributes)).toEqual(
    expect.arrayContaining([
      {method: 'GET', status: '404', target: `${collector.origin}/missing`, failure: 'http'},
      {method: 'GET', status: '0', target: 'http://127.0.0.1:1/', failure: 'network'},
    ]),
  );
  expect(named('vital', 'LCP')[0]).toMatchObject({attributes: {rating: 'good', target: 'h1', navigation_type: 'navigate'}});
  expect(named('vital', 'INP')[0]).toMatchObject({attributes: {target: '#buy'}, data: {attribution: {event: expect.stringMatching(/^pointer|^click|^mouse/)}}});
  expect(JSON.stringify(collector.received)).not.toContain('hunter2');
  // The page's own failures and nothing else; and no preflight anywhere.
  expect(pageErrors).toEqual(['TypeError: cart is broken', 'RangeError: nobody catches me'].sort((a, b) => pageErrors.indexOf(a) - pageErrors.indexOf(b)));
  expect(collector.others.filter((request) => request.startsWith('OPTIONS'))).toEqual([]);
});

test('after a 503 the same events go again, as attempt 2', async () => {
  let answers = 0;
  collector.answer = (envelope) =>
    answers++ ? accepted(envelope) : {status: 503, headers: {'retry-after': '1'}, body: {error: {code: 'busy', message: 'full'}}};
  collector.pages = {'/': html('<h1>Shop</h1>')};
  await page.goto(collector.origin);
  await page.evaluate(() => (window as any).MonitorKit.captureException(new Error('once')));
  await until(() => collector.received.some(({status}) => status === 202));
  await quiet();

  const [first, second] = collector.received;
  expect(first).toMatchObject({status: 503, envelope: {attempt: 1}});
  expect(second).toMatchObject({status: 202, envelope: {attempt: 2}});
  expect(second!.envelope.events).toEqual(first!.envelope.events);
  // Retry-After was obeyed; the clock of the page and that of the server are the same.
  expect(second!.envelope.sent_at - first!.envelope.sent_at).toBeGreaterThanOrEqual(1000);
  const ids = events().map(({id}) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('when the receiver is away, the events of the outage arrive after it', async () => {
  collector.pages = {'/': html('<h1>Shop</h1>')};
  await page.route('**/api/shop/events**', (route) => route.abort('connectionrefused'));
  await page.goto(collector.origin);
  await page.evaluate(() => {
    const {captureException} = (window as any).MonitorKit;
    for (let i = 0; i < 20; i++) captureException(new Error(`outage ${i}`));
  });
  await page.waitForTimeout(500);
  expect(collector.received).toEqual([]);
  await page.unroute('**/api/shop/events**');
  await until(() => named('error').length >= 20, 20_000);
  await quiet();
  expect(named('error').map(({data}) => data.message).sort()).toEqual(Array.from({length: 20}, (_, i) => `outage ${i}`).sort());
  expect(Math.max(...collector.received.map(({envelope}) => envelope.attempt))).toBeGreaterThan(1);
  expect(pageErrors).toEqual([]);
});

test('a page that is left in the middle of a send loses neither what is in flight nor what is queued', async () => {
  collector.pages = {'/': html('<h1>Shop</h1>'), '/next': '<!doctype html><title>Next</title>'};
  await page.goto(collector.origin);
  await page.evaluate(() => {
    const {track} = (window as any).MonitorKit;
    // The first 48 KiB leave at once; with the rest it is more than our keepalive budget, and less than the browser's 64 KiB.
    for (let i = 0; i < 26; i++) track('step', {i, padding: 'x'.repeat(2150)});
    location.href = '/next';
  });
  await until(() => named('track').length >= 26);
  await quiet();
  const sent = collector.received.filter(({envelope}) => envelope.events.some(({kind}) => kind === 'track'));
  expect(sent.length).toBeGreaterThan(1);
  expect(sent.reduce((sum, {envelope}) => sum + JSON.stringify(envelope).length, 0)).toBeGreaterThan(60_000);
  expect(named('track').map(({data}) => data.i).sort((a, b) => a - b)).toEqual(Array.from({length: 26}, (_, i) => i));
});

test('of thirty pages that are left in the task of the event, each event arrives exactly once', async () => {
  collector.pages = {'/': html('<h1>Shop</h1>')};
  for (let round = 0; round < 30; round++) {
    await page.goto(`${collector.origin}/?round=${round}`);
    await page.evaluate((round) => {
      (window as any).MonitorKit.track('leave', {round});
      location.href = `/?left=${round}`;
    }, round);
    await page.waitForURL(/left/);
  }
  await until(() => named('track', 'leave').length >= 30);
  await quiet();
  const ids = events().map(({id}) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(named('track', 'leave').map(({data}) => data.round).sort((a, b) => a - b)).toEqual(Array.from({length: 30}, (_, i) => i));
  expect(pageErrors).toEqual([]);
});

test('web vitals belong to the page that was loaded, also after the address has changed', async () => {
  collector.pages = {'/': html('<h1>Shop</h1>'), '/next': '<!doctype html><title>Next</title>'};
  await page.goto(collector.origin);
  await page.waitForTimeout(100);
  await page.evaluate(() => history.pushState(null, '', '/cart'));
  await page.goto(`${collector.origin}/next`);
  await until(() => named('vital', 'CLS').length > 0);
  await quiet();
  const routes = (kind: string): string[] =>
    collector.received.filter(({envelope}) => envelope.events.some((event) => event.kind === kind)).map(({envelope}) => envelope.page.route);
  expect(new Set(routes('vital'))).toEqual(new Set(['/']));
  expect(new Set(routes('page_view'))).toEqual(new Set(['/', '/cart']));
});

test('a return from the back/forward cache is a new page with vitals of its own', async () => {
  collector.pages = {'/': html('<h1>Shop</h1><button id="b">b</button>'), '/next': '<!doctype html><title>Next</title><p>next'};
  await page.goto(collector.origin);
  await page.waitForTimeout(200);
  await page.goto(`${collector.origin}/next`);
  // Nothing is loaded, so there is no load to wait for.
  await page.goBack({waitUntil: 'commit'});
  await page.waitForTimeout(300);
  await page.goto(`${collector.origin}/next`);
  await until(() => named('vital', 'LCP').length >= 2);
  await quiet();
  const pageOf = (kind: string, attribute: string): string[] =>
    collector.received
      .filter(({envelope}) => envelope.events.some((event) => event.kind === kind && event.attributes?.['navigation_type'] === attribute))
      .map(({envelope}) => envelope.page.id);
  const [loaded] = pageOf('page_view', 'load');
  const [restored] = pageOf('page_view', 'bfcache');
  expect(restored).toBeDefined();
  expect(restored).not.toBe(loaded);
  expect(new Set(pageOf('vital', 'navigate'))).toEqual(new Set([loaded]));
  expect(new Set(pageOf('vital', 'back-forward-cache'))).toEqual(new Set([restored]));
  expect(pageErrors).toEqual([]);
});

test('a strict content security policy is not violated, and a second copy of the script reports nothing twice', async () => {
  collector.pages = {
    '/': (_request, response) => {
      response.setHeader('content-security-policy', "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'");
      const tag = `<script src="/sdk/monitor.js" data-dsn="${dsn()}"></script>`;
      response.setHeader('content-type', 'text/html').end(`<!doctype html><title>CSP</title>${tag}${tag}<p id="p">strict`);
    },
  };
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  await page.goto(collector.origin);
  await page.click('#p');
  await page.evaluate(() => (window as any).MonitorKit.captureException(new Error('strict')));
  await until(() => named('error').length > 0);
  await quiet();
  expect([named('page_view').length, named('click').length, named('error').length]).toEqual([1, 1, 1]);
  expect(said.filter((text) => !/favicon/.test(text))).toEqual([]);
});

test('without storage, in a sandboxed frame, it works', async () => {
  collector.pages = {
    '/': '<!doctype html><title>Host</title><link rel="icon" href="data:,"><iframe sandbox="allow-scripts" src="/framed"></iframe>',
    '/framed': html('<script>MonitorKit.captureException(new Error("framed"))</script>'),
  };
  await page.goto(collector.origin);
  await until(() => named('error').length > 0);
  expect(named('error')).toMatchObject([{data: {message: 'framed'}}]);
  expect(pageErrors).toEqual([]);
});

test('the page sees neither our requests in its own fetch wrapper nor a changed XMLHttpRequest', async () => {
  collector.pages = {'/': html('<h1>Shop</h1>'), '/data.json': '{"a":1}'};
  await page.goto(collector.origin);
  const seen = await page.evaluate(async () => {
    const calls: string[] = [];
    const {fetch} = window;
    window.fetch = (...args) => {
      calls.push(String(args[0]));
      return fetch(...args);
    };
    const body = await (await window.fetch('/data.json')).json();
    const stream = await window.fetch('/data.json').then((response) => response.body!.getReader().read());
    const xhr = new XMLHttpRequest();
    const types: string[] = [];
    for (const type of ['load', 'loadend', 'error']) xhr.addEventListener(type, () => types.push(type));
    xhr.responseType = 'json';
    await new Promise((resolve) => {
      xhr.onloadend = resolve;
      xhr.open('GET', '/data.json?x=1');
      xhr.send();
    });
    const flushed = await (window as any).MonitorKit.flush();
    return {calls, body, streamed: stream.value!.length, xhr: xhr.response, types, flushed};
  });
  expect(seen).toEqual({
    calls: ['/data.json', '/data.json'],
    body: {a: 1},
    streamed: 7,
    xhr: {a: 1},
    types: ['load', 'loadend'],
    flushed: true,
  });
  expect(named('request').map(({name, attributes, data}) => [name, attributes!['status'], data.response_size])).toEqual([
    ['fetch', '200', expect.anything()],
    ['fetch', '200', expect.anything()],
    ['xhr', '200', 7],
  ]);
});
