// The built dashboard in a real Chromium, against the mock service and under the service's content security policy.
// Needs dist/ (`npm run test:browser` builds it). Leaves pictures of every page in test-output/.

import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { chromium } from 'playwright-core';
import { ATTACKS, Generator } from '../mock/data.mjs';
import { startMock as start } from '../mock/server.mjs';

const PICTURES = new URL('../test-output/', import.meta.url).pathname;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const TYPE_ERROR = '9f2c61d0a4b7e813';

// Also those that a failing test leaves behind are closed at the end: the run must not hang.
const servers = [];
async function startMock(options) {
  const server = await start(options);
  servers.push(server);
  return server;
}

let browser;
let profile;
let mock;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  profile = await mkdtemp(join(tmpdir(), 'dashboard-test-'));
  mock = await startMock({ mount: '/deep/path/monitor/' });
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS, viewport: { width: 1360, height: 900 },
  });
});

after(async () => {
  await browser?.close();
  await Promise.all(servers.map((server) => server.close()));
  await rm(profile, { recursive: true, force: true });
});

/** A page that writes down everything that went wrong on it. */
async function open(hash, { server = mock, width = 1360, height = 900, scheme = 'light', allow = () => false } = {}) {
  const page = await browser.newPage();
  const problems = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !allow(message.text())) problems.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  page.on('request', (request) => { if (!request.url().startsWith(server.url) && !request.url().startsWith('data:')) problems.push(`foreign request: ${request.url()}`); });
  await page.addInitScript(() => {
    window.__violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.__violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(server.url + hash);
  page.clean = async () => {
    assert.deepEqual(await page.evaluate(() => window.__violations), [], 'violations of the content security policy');
    assert.equal(await page.evaluate(() => window.__xss), undefined, 'a text from an event ran as code');
    assert.deepEqual(problems, []);
    await page.close();
  };
  return page;
}

const loaded = (page) => page.waitForFunction(() => document.querySelector('.loaded:not(.stale)') && !document.querySelector('.skeleton'));
const text = (page, selector) => page.locator(selector).first().innerText();

async function noSidewaysScroll(page) {
  const [inner, content] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
  assert.ok(content <= inner, `the page is ${content} px wide on a screen of ${inner} px`);
}

describe('every page renders, in light, dark and on a phone', () => {
  const pages = {
    overview: { hash: '#/overview?project=shop&range=1h', see: '.chart-canvas canvas' },
    'overview-24h': { hash: '#/overview?project=shop&range=24h&vital=INP', see: '.chart-canvas canvas' },
    errors: { hash: '#/errors?project=shop&range=24h', see: '.errors tbody tr' },
    error: { hash: `#/errors/${TYPE_ERROR}?project=shop&range=24h`, see: '.frame' },
    pages: { hash: '#/pages?project=shop&range=24h', see: '.pages tbody tr' },
    live: { hash: '#/live?project=shop', see: '.live-row', live: true },
    welcome: { hash: '#/overview?project=blog', see: '.welcome' },
  };
  for (const [name, { hash, see, live }] of Object.entries(pages)) {
    for (const [look, options] of Object.entries({ light: {}, dark: { scheme: 'dark' }, phone: { width: 390, height: 844 }, 'phone-dark': { width: 390, height: 844, scheme: 'dark' } })) {
      it(`${name}, ${look}`, async () => {
        const page = await open(hash, options);
        if (live) {
          await page.waitForSelector('.live-live');
          const generator = new Generator(5);
          mock.add('shop', [1, 2, 3, 4, 5, 6, 7, 8].flatMap(() => generator.session('shop', Date.now())));
        }
        await page.waitForSelector(see);
        await page.waitForFunction(() => !document.querySelector('.skeleton'));
        if (look.startsWith('phone')) {
          await noSidewaysScroll(page);
          for (const button of await page.locator('.popover > button:visible').all()) {
            await button.click();
            await noSidewaysScroll(page);
            const panel = await page.locator('.popover-panel').boundingBox();
            assert.ok(panel.x >= 0 && panel.x + panel.width <= 390, 'the panel is on the screen');
            await page.keyboard.press('Escape');
          }
        }
        await page.screenshot({ path: join(PICTURES, `${name}-${look}.png`), fullPage: !live });
        await page.clean();
      });
    }
  }
});

describe('numbers', () => {
  it('of the overview are those of the service', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    // What the page asked, asked again here: same window, same answer.
    const question = mock.log.findLast(({ path, body }) => path === 'query' && body.measures.includes('sessions') && Date.now() - body.to < 10_000).body;
    const answer = await (await fetch(`${mock.url}query`, { method: 'POST', body: JSON.stringify(question) })).json();
    const [views, errors, requests, failures, visitors, sessions] = answer.rows[0];
    const tiles = await page.locator('.tile-value').allInnerTexts();
    assert.deepEqual(tiles.slice(0, 3), [views, visitors, sessions].map((count) => count.toLocaleString('en-US')));
    assert.ok((await text(page, '.tile:nth-child(4)')).includes(`${errors} errors`));
    assert.ok((await text(page, '.tile:nth-child(5)')).includes(`${failures.toLocaleString('en-US')} of ${requests.toLocaleString('en-US')}`));
    await page.clean();
  });

  it('refresh by themselves without a skeleton, and each page asks at most eight questions', async () => {
    const server = await startMock();
    const page = await open('#/overview?project=shop&range=15m', { server });
    await loaded(page);
    assert.ok(server.log.length <= 8, `${server.log.length} requests`);
    const before = await text(page, '.tile-value');
    await page.locator('.chart-canvas canvas').first().hover({ position: { x: 500, y: 90 } });
    await page.waitForSelector('.tip-row');
    await page.evaluate(() => {
      window.__skeletons = 0;
      new MutationObserver(() => { if (document.querySelector('.skeleton, .stale')) window.__skeletons++; }).observe(document.body, { childList: true, subtree: true, attributes: true });
    });
    // Enough that what leaves the window meanwhile cannot make up for it.
    const generator = new Generator(1);
    server.add('shop', Array.from({ length: 40 }, () => generator.session('shop', Date.now())).flat().map((event) => ({ ...event, time: Date.now() })));
    await page.waitForFunction((old) => document.querySelector('.tile-value').textContent !== old, before, { timeout: 15_000 });
    assert.equal(await page.evaluate(() => window.__skeletons), 0);
    await page.waitForTimeout(200);
    assert.ok(await page.locator('.tip-row').first().isVisible(), 'what is under the pointer stays');
    assert.ok(await page.locator('.live-live').isVisible());
    for (const hash of ['errors', 'pages', `errors/${TYPE_ERROR}`]) {
      const count = server.log.length;
      await page.goto(`${server.url}#/${hash}?project=shop&range=7d`);
      await loaded(page);
      assert.ok(server.log.length - count <= 8, `${hash}: ${server.log.length - count} requests`);
    }
    await page.clean();
    await server.close();
  });

  it('of a chart are there as a table', async () => {
    const page = await open('#/overview?project=shop&range=1h');
    await loaded(page);
    await page.getByRole('button', { name: 'Page views and errors: show as table' }).click();
    const rows = page.getByRole('region', { name: 'Page views and errors, table' }).locator('tbody tr');
    assert.ok(await rows.count() >= 60);
    await page.clean();
  });

  it('of a chart appear under the pointer', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    await page.locator('.chart-canvas canvas').first().hover({ position: { x: 500, y: 90 } });
    await page.waitForSelector('.tip-row');
    assert.match(await text(page, '.tip'), /Page views\s+[\d,]+\s+Errors\s+\d+/);
    await page.screenshot({ path: join(PICTURES, 'tooltip.png') });
    await page.clean();
  });
});

describe('the address', () => {
  it('holds range, filters and order, and brings them back', async () => {
    const page = await open('#/pages?project=shop&range=1h');
    await loaded(page);
    await page.getByRole('button', { name: '24h' }).click();
    await page.getByRole('button', { name: 'Browser' }).click();
    await page.getByRole('checkbox', { name: /Safari/ }).check();
    await page.screenshot({ path: join(PICTURES, 'filter.png') });
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.popover-panel').count(), 0);
    await page.getByRole('button', { name: 'LCP' }).click();
    await page.getByRole('button', { name: '/cart', exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll('.pages tbody tr').length === 1);
    assert.equal(new URL(page.url()).hash, '#/pages?project=shop&range=24h&browser=Safari&route=%2Fcart&sort=-LCP');
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll('.pages tbody tr').length === 1);
    assert.ok(await page.getByRole('button', { name: 'Browser: Safari' }).isVisible());
    await page.goBack();
    await page.waitForFunction(() => document.querySelectorAll('.pages tbody tr').length > 1);
    await page.clean();
  });

  it('asked for again quickly gives up the earlier questions and shows the last', async () => {
    const server = await startMock();
    const page = await open('#/pages?project=shop&range=15m', { server });
    await loaded(page);
    server.faults.delay = 500;
    const given = [];
    page.on('requestfailed', (request) => given.push(request.failure().errorText));
    await page.getByRole('button', { name: '30d' }).click();
    await page.waitForTimeout(100);
    assert.ok(await page.locator('.stale').isVisible());
    await page.getByRole('button', { name: '6h' }).click();
    await page.waitForFunction(() => !document.querySelector('.stale'));
    assert.deepEqual([...new Set(given)], ['net::ERR_ABORTED']);
    const views = (await page.locator('.pages tbody td:nth-child(2)').allInnerTexts()).map((cell) => Number(cell.replaceAll(',', '')));
    const asked = server.log.findLast(({ body }) => body?.group_by?.[0] === 'route' && body.kinds.includes('page_view')).body;
    assert.ok(asked.to - asked.from < 7 * 3_600_000);
    server.faults.delay = 0;
    const { rows } = await (await fetch(`${server.url}query`, { method: 'POST', body: JSON.stringify(asked) })).json();
    assert.deepEqual(views, rows.map((row) => row[1]));
    await page.clean();
    await server.close();
  });

  it('takes a range of its own', async () => {
    const page = await open('#/overview?project=shop&range=1h');
    await page.getByRole('button', { name: 'Custom' }).click();
    await page.getByLabel('From').fill('2026-01-01T00:00');
    await page.getByLabel('To', { exact: true }).fill('2025-01-01T00:00');
    assert.ok(await page.getByRole('button', { name: 'Apply' }).isDisabled());
    await page.getByLabel('To', { exact: true }).fill('2026-01-02T00:00');
    await page.getByRole('button', { name: 'Apply' }).click();
    assert.match(page.url(), /from=\d+&to=\d+/);
    await page.waitForSelector('.live-fixed');
    await page.clean();
  });
});

describe('errors', () => {
  it('are found by their message and opened', async () => {
    const page = await open('#/errors?project=shop&range=24h');
    await page.waitForFunction(() => document.querySelectorAll('.errors tbody tr').length === 6);
    await page.getByPlaceholder('Search in messages').fill('COUPON');
    await page.waitForFunction(() => document.querySelectorAll('.errors tbody tr').length === 1);
    assert.match(page.url(), /q=COUPON/);
    await page.locator('.errors a').click();
    await page.waitForSelector('.frame');
    assert.match(page.url(), /#\/errors\/e80b53f17c2d4419/);
    assert.equal(await text(page, '.frame-own .frame-function'), 'totalOf');
    await page.getByRole('button', { name: 'Own code' }).click();
    assert.equal(await page.locator('.frame:not(.frame-own)').count(), 0);
    await page.getByRole('button', { name: 'Raw' }).click();
    assert.match(await text(page, '.raw'), /412:31/);
    await page.clean();
  });

  it('come with their causes, inner errors, components and what they stand for', async () => {
    const server = await startMock();
    const moment = Date.now() - 1_000;
    const error = server.stores.shop.findLast(({ fingerprint }) => fingerprint === TYPE_ERROR);
    const group = { ...error, fingerprint: 'feedfacefeedface' };
    server.add('shop', [{ ...group, id: 'first', time: moment - 1 }, { ...group, id: 'repeats', time: moment, weight: 40, data: { ...error.data, folded: true } }]);
    const page = await open('#/errors/feedfacefeedface?project=shop&range=15m', { server });
    await page.waitForSelector('.frame');
    assert.equal(await page.locator('.detail-head .facts dd').first().innerText(), '41');
    assert.match(await text(page, '.sample-nav p'), /^Event 1 of 2 \(standing for 41\)/);
    const cards = await page.locator('.detail-main h2').allInnerTexts();
    assert.deepEqual(cards.filter((title) => ['Stack', 'Caused by', 'Contains', 'Components'].includes(title)), ['Stack', 'Caused by', 'Contains', 'Components']);
    assert.deepEqual(await page.locator('.exception').allInnerTexts(), ['NetworkError\nno answer from the price service', 'RangeError\nthe quantity is below zero']);
    const cause = page.locator('.card', { has: page.locator('h2', { hasText: 'Caused by' }) });
    assert.equal(await cause.locator('.frame-function').innerText(), 'loadPrices');
    await cause.getByRole('button', { name: 'Raw' }).click();
    assert.match(await cause.locator('.raw').innerText(), /loadPrices.*77:9/);
    const facts = (await page.locator('.context').innerText()).replaceAll('\n', ' ');
    for (const fact of ['Component CartTotal', 'During render', 'Stands for 40 events, repeats of one that came before', 'Caught by onerror, not handled']) assert.ok(facts.includes(fact), `${fact} in ${facts}`);
    assert.match(await text(page, '.card:has(.context) > .json'), /contexts/);
    await page.screenshot({ path: join(PICTURES, 'error-causes.png'), fullPage: true });
    await page.clean();
    await server.close();
  });

  it('are turned through, older and newer, beyond the first answer', async () => {
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=7d`);
    await page.waitForSelector('.sample-nav');
    const when = () => page.locator('.sample-nav time').getAttribute('datetime');
    const times = [await when()];
    for (let index = 1; index <= 22; index++) {
      await page.getByRole('button', { name: 'Older' }).click();
      await page.waitForFunction((shown) => document.querySelector('.sample-nav strong').textContent === `Event ${shown}`, index + 1);
      times.push(await when());
    }
    assert.deepEqual(times, [...times].sort().reverse());
    assert.equal(new Set(times).size, times.length);
    await page.getByRole('button', { name: 'Newer' }).click();
    assert.equal(await when(), times[21]);
    await page.clean();
  });
});

describe('the live page', () => {
  it('shows what arrives, pauses, filters by kind, counts what it missed, and connects again', async () => {
    const server = await startMock();
    const generator = new Generator(3);
    const page = await open('#/live?project=shop', { server, allow: (message) => /Failed to load resource|ERR_/.test(message) });
    await page.waitForSelector('.live-live');
    const some = (count, kind = 'track') => Array.from({ length: count }, (_, index) => generator.event({ project: 'shop', time: Date.now(), kind, name: `thing ${index}`, data: { deep: { er: ['<b>x</b>'] } } }));
    server.add('shop', some(3));
    await page.waitForFunction(() => document.querySelectorAll('.live-row').length === 3);
    await page.getByRole('button', { name: 'Pause' }).click();
    server.add('shop', some(4));
    await page.getByRole('button', { name: 'Continue (4 new)' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.live-row').length === 7);
    server.add('shop', some(700));
    await page.waitForFunction(() => document.querySelectorAll('.live-row').length === 500);
    server.drop(41);
    await page.waitForFunction(() => /\b241 events/.test(document.querySelector('.missed')?.textContent));
    await page.locator('.live-head').first().click();
    await page.locator('.json summary', { hasText: 'data' }).first().click();
    await page.locator('.json summary', { hasText: 'deep' }).first().click();
    await page.screenshot({ path: join(PICTURES, 'live-open.png') });
    server.disconnect();
    await page.waitForSelector('.live-failing');
    await page.waitForSelector('.live-live', { timeout: 8_000 });
    await page.getByRole('button', { name: 'Kind' }).click();
    await page.getByRole('checkbox', { name: 'Error' }).check();
    await page.keyboard.press('Escape');
    await page.waitForSelector('.live-live');
    await page.waitForTimeout(300);
    server.add('shop', [...some(2), ...some(1, 'error')]);
    await page.waitForFunction(() => document.querySelectorAll('.live-row').length === 1);
    await page.clean();
    await server.close();
  });
});

describe('every kind', () => {
  it('is called by its name and told in a line', async () => {
    const server = await startMock();
    const generator = new Generator(4);
    const page = await open('#/live?project=shop', { server });
    await page.waitForSelector('.live-live');
    const told = [
      [{ kind: 'navigation', name: 'navigation', value: 2300, route: '/cart', attributes: { navigation_type: 'reload' } }, 'Page load|reload · /cart|2.30 s'],
      [{ kind: 'resource', name: 'script', value: 420, target: 'https://cdn.example/a.js', data: { count: 12 } }, 'Resources|script 12 files, slowest https://cdn.example/a.js|420 ms'],
      [{ kind: 'longtask', name: 'long-animation-frame', value: 120, target: 'https://cdn.example/a.js' }, 'Long task|long-animation-frame https://cdn.example/a.js|120 ms'],
      [{ kind: 'rage_click', name: 'rage_click', value: 5, target: 'button.pay' }, 'Rage click|button.pay|5 clicks'],
      [{ kind: 'dead_click', name: 'dead_click', target: 'button.pay' }, 'Dead click|button.pay|'],
      [{ kind: 'time_on_page', name: 'time_on_page', value: 65_000, route: '/cart' }, 'Time on page|/cart|1 min 05 s'],
      [{ kind: 'scroll_depth', name: 'scroll_depth', value: 74.6, route: '/cart' }, 'Scroll depth|/cart|75%'],
      [{ kind: 'exposure', name: 'banner', target: '#banner' }, 'Exposure|banner #banner|'],
      [{ kind: 'csp', name: 'img-src', target: 'https://ads.example/x.gif' }, 'CSP violation|img-src blocked https://ads.example/x.gif|'],
      [{ kind: 'console', name: 'warning', data: { message: 'careful' } }, 'Console|warning careful|'],
      [{ kind: 'report', name: 'deprecation', data: { message: 'unload is going' } }, 'Browser report|deprecation unload is going|'],
      [{ kind: 'blank_screen', name: 'blank_screen', value: 5000, route: '/cart' }, 'Blank screen|/cart|5.00 s'],
      [{ kind: 'form_submit', name: 'form_submit', method: 'POST', target: '#pay', data: { action: 'https://shop.example/pay' } }, 'Form sent|POST https://shop.example/pay|'],
      [{ kind: 'request', name: 'fetch', value: 180, status: 200, failure: 'business', target: '/api' }, 'Request|fetch /api|200 · business · 180 ms'],
      [{ kind: 'click', name: 'click', target: 'a.more', weight: 10 }, 'Click|a.more|×10'],
      [{ kind: 'web-rtc', name: 'call' }, 'web-rtc|call|'],
    ];
    server.add('shop', told.map(([event]) => generator.event({ project: 'shop', time: Date.now(), ...event })));
    await page.waitForFunction((count) => document.querySelectorAll('.live-row').length === count, told.length);
    const rows = await page.evaluate(() => [...document.querySelectorAll('.live-head')].map((row) => ['.live-kind', '.live-text', '.live-value'].map((part) => row.querySelector(part).textContent.trim()).join('|')));
    assert.deepEqual(rows.reverse(), told.map(([, line]) => line));
    await page.screenshot({ path: join(PICTURES, 'live-kinds.png') });
    await page.clean();
    await server.close();
  });
});

describe('when things are not well', () => {
  it('a project without events waits, and switches with the first one', async () => {
    const server = await startMock();
    const page = await open('#/overview?project=blog', { server });
    await page.waitForSelector('.welcome');
    const [{ dsn }] = (await (await fetch(`${server.url}query/projects`)).json()).projects.filter(({ id }) => id === 'blog');
    assert.equal((await page.locator('.snippet code').textContent()), `<script src="${server.url}sdk/monitor.js" data-dsn="${dsn}" defer></script>`);
    await page.getByRole('button', { name: 'npm' }).click();
    assert.ok((await text(page, '.snippet')).includes('@monitor-kit/browser'));
    server.add('blog', new Generator(2).session('blog', Date.now() - 60_000).filter(({ time }) => time < Date.now()));
    await page.waitForSelector('.tile-value', { timeout: 8_000 });
    await page.clean();
    await server.close();
  });

  it('a token is asked for, refused, taken, and kept for the tab', async () => {
    const server = await startMock({ token: 'secret' });
    const page = await open('#/overview?project=shop&range=1h', { server, allow: (message) => message.includes('401') });
    await page.screenshot({ path: join(PICTURES, 'token.png') });
    await page.getByLabel('Access token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=This token was refused');
    await page.screenshot({ path: join(PICTURES, 'token.png') });
    await page.getByLabel('Access token').fill('secret');
    await page.keyboard.press('Enter');
    await loaded(page);
    await page.reload();
    await loaded(page);
    await page.goto(`${server.url}#/live?project=shop`);
    await page.waitForSelector('.live-live');
    await page.clean();
    await server.close();
  });

  it('a failing store is said, with a way out', async () => {
    const server = await startMock();
    const page = await open('#/pages?project=shop&range=1h', { server, allow: (message) => message.includes('503') });
    await loaded(page);
    server.faults.next.push(...Array.from({ length: 8 }, () => ({ status: 503, code: 'unavailable', message: 'the store does not answer' })));
    await page.getByRole('button', { name: '7d' }).click();
    await page.waitForSelector('[role=alert]');
    assert.match(await text(page, '[role=alert]'), /the store does not answer/);
    await page.screenshot({ path: join(PICTURES, 'failing.png') });
    server.faults.next.length = 0;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.waitForSelector('.pages tbody tr');
    assert.equal(await page.locator('[role=alert]').count(), 0);
    await page.clean();
    await server.close();
  });

  it('an unknown project is said', async () => {
    const page = await open('#/overview?project=nobody', { allow: (message) => message.includes('404') });
    await page.waitForSelector('text=unknown project');
    await page.clean();
  });
});

describe('hostile events', () => {
  it('stay text on every page, and link nowhere', async () => {
    const fingerprint = encodeURIComponent(mock.stores.hostile.find(({ kind }) => kind === 'error').fingerprint);
    for (const [name, hash, see] of [
      ['overview', '#/overview?project=hostile&range=1h', '.chart-canvas canvas'],
      ['errors', '#/errors?project=hostile&range=1h', '.errors tbody tr'],
      ['error', `#/errors/${fingerprint}?project=hostile&range=1h`, '.crumb-row'],
      ['pages', '#/pages?project=hostile&range=1h', '.pages tbody tr'],
      ['live', '#/live?project=hostile', '.live-row'],
    ]) {
      const page = await open(hash);
      if (name === 'live') {
        await page.waitForSelector('.live-live');
        mock.add('hostile', mock.stores.hostile.filter(({ kind }) => kind === 'error').slice(0, 5).map((event, index) => ({ ...event, id: `again-${index}` })));
      }
      await page.waitForSelector(see);
      for (const field of name === 'live' ? [] : ['Release', 'Environment', 'Browser']) {
        await page.getByRole('button', { name: field, exact: true }).click();
        await page.waitForSelector('.option');
        await page.keyboard.press('Escape');
      }
      if (name === 'overview') await page.locator('.chart-canvas canvas').first().hover({ position: { x: 400, y: 60 } });
      if (name === 'live') await page.locator('.live-head').first().click();
      // Opening a node builds the nodes below it, which are opened in turn.
      for (let round = 0; round < 5; round++) await page.evaluate(() => { for (const node of document.querySelectorAll('details:not([open]) > summary')) node.click(); });
      const attack = ATTACKS[0];
      if (name !== 'overview') assert.ok((await page.locator('#main').innerText()).includes(attack), `${name} shows the text as it is`);
      const links = await page.evaluate(() => [...document.querySelectorAll('a[href]')].map((link) => [new URL(link.href).protocol, link.target, link.rel]));
      for (const [protocol, target, rel] of links) {
        assert.ok(['http:', 'https:'].includes(protocol), protocol);
        if (target) assert.match(rel, /noopener/);
      }
      assert.equal(await page.locator('#app img, #app script, #app iframe, #app svg[onload]').count(), 0);
      await page.screenshot({ path: join(PICTURES, `hostile-${name}.png`) });
      await page.clean();
    }
  });
});

describe('the keyboard', () => {
  it('reaches everything and shows where it is', async () => {
    const page = await open('#/errors?project=shop&range=24h');
    await page.waitForSelector('.errors tbody tr');
    const seen = new Set();
    for (let index = 0; index < 40; index++) {
      await page.keyboard.press('Tab');
      const focus = await page.evaluate(() => {
        const element = document.activeElement;
        const style = getComputedStyle(element);
        return { name: element.getAttribute('aria-label') ?? element.textContent.trim() ?? '', outlined: style.outlineStyle !== 'none' || style.boxShadow !== 'none', tag: element.tagName };
      });
      if (focus.tag === 'BODY') break;
      assert.ok(focus.outlined, `${focus.name} shows no focus`);
      seen.add(focus.name);
    }
    for (const name of ['Project', 'Overview', '24h', 'Release', 'TypeError']) assert.ok(seen.has(name), `${name} in ${[...seen].join(', ')}`);
    await page.locator('.errors a').first().focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('.frame');
    await page.clean();
  });
});
