// What the page says of its answers: how fresh they are, and what is wrong with them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loaded, noSidewaysScroll, picture, setup, text } from './harness.mjs';

const { mock, startMock, open } = setup();
const TYPE_ERROR = '9f2c61d0a4b7e813';
const STATS = { elapsed_ms: 1, rows_read: 1 };
const answer = (json, path) => [path, (route) => route.fulfill({ json })];
const sample = () => mock().stores.shop.at(-1);

describe('how often it is asked again', () => {
  const freshness = (page) => page.locator('.header-end .live');

  it('is said where it is done, and only there', async () => {
    const page = await open('#/overview?project=shop&range=15m');
    await loaded(page);
    assert.equal(await freshness(page).innerText(), 'Every 5 s');
    const session = mock().stores.shop.find(({ time, session: id }) => id && time < Date.now() - 3 * 3_600_000);
    for (const [hash, see] of [['events?project=shop&range=15m', '.event-head, .empty'], [`sessions/${session.session}?project=shop&range=24h&around=${session.time}`, '.chapter']]) {
      await page.goto(`${mock().url}#/${hash}`);
      await page.waitForSelector(see);
      await loaded(page);
      assert.equal(await freshness(page).count(), 0, hash);
    }
    await page.goto(`${mock().url}#/errors?project=shop&range=6h`);
    await loaded(page);
    assert.equal(await freshness(page).innerText(), 'Every 30 s');
    await page.goto(`${mock().url}#/events?project=shop&from=${Date.now() - 3_600_000}&to=${Date.now()}`);
    await page.waitForSelector('.event-head');
    assert.equal(await freshness(page).innerText(), 'Fixed range');
    await page.clean();
  });

  it('is up to the viewer for the list of events', async () => {
    const server = await startMock();
    const page = await open('#/events?project=shop&range=1h', { server });
    await page.waitForSelector('.event-head');
    await page.getByRole('button', { name: 'Show older events' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.event-head').length > 50);
    server.add('shop', [{ ...server.stores.shop.at(-1), id: 'f'.repeat(32), time: Date.now(), kind: 'track', name: 'brand-new' }]);
    await page.getByRole('button', { name: 'Refresh' }).click();
    await page.waitForFunction(() => document.querySelector('.event-head').textContent.includes('brand-new') && document.querySelectorAll('.event-head').length === 50);
    await page.getByRole('button', { name: 'Show older events' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.event-head').length === 100);
    await page.clean();
    await server.close();
  });
});

describe('an answer of another form', () => {
  it('is said in the place of the page, which loads when it is asked again', async () => {
    for (const [hash, [path, handler], see] of [
      ['events?project=shop&range=1h', answer({}, '**/query/events'), '.event-head'], ['system?project=shop', answer({}, '**/query/system'), '.tile-value'],
      ['errors?project=shop&range=24h', answer({ columns: ['name'], rows: [[null]], stats: null }, '**/query/issues'), '.issue-name'],
    ]) {
      const page = await open('#/live?project=shop');
      await page.waitForSelector('.live-live');
      await page.route(path, handler);
      await page.goto(`${mock().url}#/${hash}`);
      await page.waitForSelector('.note');
      assert.match(await text(page, '.note'), /^This could not be loaded: the answer is not in the expected form\./);
      assert.equal(await page.locator('.tile-value, .event-head').count(), 0, 'nothing untrue is shown');
      await page.unroute(path);
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.waitForSelector(see);
      await page.clean();
    }
  });

  it('that breaks a page breaks no other one', async () => {
    const page = await open(`#/errors?project=shop&range=24h`, { allow: (message) => message.includes('TypeError') });
    await loaded(page);
    const event = { ...sample(), exceptions: [{ role: 'error', name: 'E', message: 'm' }] };
    await page.route('**/query/events', (route) => route.fulfill({ json: { events: [event], next: null, stats: STATS } }));
    await page.goto(`${mock().url}#/errors/${TYPE_ERROR}?project=shop&range=24h`);
    await page.waitForSelector('.note');
    assert.match(await text(page, '.note'), /^This could not be loaded: the dashboard itself failed \(TypeError: .+\)\./);
    await page.unroute('**/query/events');
    await page.locator('.nav').getByRole('link', { name: 'Events' }).click();
    await page.waitForSelector('.event-head');
    await page.goBack();
    await page.waitForSelector('.frame');
    assert.equal(await page.locator('.note').count(), 0);
    await page.clean();
  });
});

describe('what went wrong', () => {
  const allow = (message) => /40[04]|422/.test(message);

  it('is told in Chinese, with what the service says beside it', async () => {
    const page = await open('#/overview?project=nobody&range=24h', { language: 'zh-CN', allow });
    await page.waitForSelector('.note');
    assert.equal((await text(page, '.note p')).trim(), '加载失败：没有此项目。');
    await page.route('**/query/events', (route) => route.fulfill({ status: 400, json: { error: { code: 'bad_query', message: 'kinds: unknown kind' } } }));
    await page.goto(`${mock().url}#/events?project=shop&range=1h`);
    await page.waitForSelector('.note');
    assert.equal((await text(page, '.note p')).trim(), '加载失败：查询无效（kinds: unknown kind）。');
    await picture(page, 'failing-chinese', false);
    await page.clean();
  });

  it('with the live stream is told in Chinese', async () => {
    const page = await open('#/overview?project=shop&range=1h', { language: 'zh-CN' });
    await loaded(page);
    await page.route(/\/live\?/, (route) => route.fulfill({ status: 200, contentType: 'text/event-stream', body: '' }));
    await page.goto(`${mock().url}#/live?project=shop`);
    await page.waitForSelector('text=数据流已结束');
    await page.clean();
  });
});

describe('texts that turn the direction of writing around', () => {
  /** Whether the letters of the text, which is somewhere in the element, stand from the left to the right. */
  const goesRight = (page, selector, wanted) => page.evaluate(([where, part]) => {
    for (const element of document.querySelectorAll(where)) {
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.data.indexOf(part);
        if (at < 0) continue;
        const left = (index) => {
          const range = document.createRange();
          range.setStart(node, index);
          range.setEnd(node, index + 1);
          return range.getBoundingClientRect().left;
        };
        return left(at) < left(at + part.length - 1);
      }
    }
    return null;
  }, [selector, wanted]);

  it('turn around nothing beside them', async () => {
    const server = await startMock();
    const now = Date.now();
    const like = server.stores.shop.findLast(({ kind, session }) => kind === 'error' && session);
    const turned = [0, 1].map((index) => ({
      ...like, id: `${index}`.repeat(32), time: now - 60_000 + index, kind: index ? 'error' : 'track', name: '\u202etxt.exe', message: 'readable-message', fingerprint: 'turned', session: 'a'.repeat(32), route: 'elsewhere', page: `${index}`.repeat(32),
    }));
    const view = { ...turned[0], id: 'b'.repeat(32), time: now - 61_000, kind: 'page_view', name: 'page_view', message: '', page: 'c'.repeat(32) };
    const behind = { ...turned[0], id: 'd'.repeat(32), time: now - 59_000, name: 'behind', message: '\u202eturned', route: 'behind-it' };
    server.add('shop', [view, ...turned, behind]);
    const page = await open('#/events?project=shop&range=1h&kind=track', { server });
    await page.waitForSelector('.event-head');
    assert.equal(await goesRight(page, '.event-head', 'readable-message'), true, 'events');
    assert.equal(await goesRight(page, '.event-head strong', 'txt.exe'), false, 'the text itself is as it came');
    await page.goto(`${server.url}#/sessions/${'a'.repeat(32)}?project=shop&range=1h`);
    await page.waitForSelector('.moment-row');
    assert.equal(await goesRight(page, '.moment-row', 'readable-message'), true, 'timeline');
    const behindIt = await page.locator('.moment-row', { hasText: 'behind-it' }).evaluate((row) => {
      const range = document.createRange();
      range.selectNodeContents([...row.querySelectorAll('.moment-text, .moment-text *')].flatMap((element) => [...element.childNodes]).find((node) => node.nodeType === Node.TEXT_NODE && node.data.includes('turned')));
      return row.querySelector('.moment-page').getBoundingClientRect().left >= range.getBoundingClientRect().right;
    });
    assert.ok(behindIt, 'what stands behind a text stays there');
    await picture(page, 'turned', false);
    await fetch(`${server.url}query/issues/state`, { method: 'POST', body: JSON.stringify({ project: 'shop', fingerprint: 'turned', status: 'ignored' }) });
    await page.goto(`${server.url}#/errors?project=shop&range=1h&state=all`);
    await page.waitForSelector('.issue-name');
    assert.equal(await goesRight(page, '.issue-ignored .status', 'Ignored'), true, 'errors');
    await page.goto(`${server.url}#/live?project=shop&kind=track`);
    await page.waitForSelector('.live-live');
    server.add('shop', [{ ...turned[0], id: 'e'.repeat(32) }]);
    await page.waitForSelector('.live-row');
    assert.equal(await goesRight(page, '.live-row', 'readable-message'), true, 'live');
    await noSidewaysScroll(page);
    await page.clean();
    await server.close();
  });
});
