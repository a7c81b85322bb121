// Issues: the list, deciding about them, and the page of one.

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { apart, loaded, picture, setup, text } from './harness.mjs';

const { mock, open } = setup();
const TYPE_ERROR = '9f2c61d0a4b7e813';
const rows = (page) => page.locator('.issues tbody tr');
const rowOf = (page, name) => rows(page).filter({ has: page.locator('.issue-name', { hasText: name }) });
/** What was asked since `log` was this long. */
const since = (length) => mock().log.slice(length);
const decided = (length) => since(length).filter(({ path }) => path === 'query/issues/state').map(({ body }) => [body.fingerprint, body.status]);

/** The tests share a service: what one decides is of no concern to the next. */
afterEach(async () => {
  const fingerprints = new Set(mock().stores.shop.map(({ fingerprint }) => fingerprint).filter(Boolean));
  for (const fingerprint of fingerprints) await fetch(`${mock().url}query/issues/state`, { method: 'POST', body: JSON.stringify({ project: 'shop', fingerprint, status: 'open' }) });
});
const until = (page, count) => page.waitForFunction((wanted) => document.querySelectorAll('.issues tbody tr').length === wanted, count);

describe('the list of issues', () => {
  it('shows what the service counts, and asks four questions at most', async () => {
    const asked = mock().log.length;
    const page = await open('#/errors?project=shop&range=24h');
    await until(page, 6);
    const questions = since(asked).filter(({ method, path }) => method === 'POST' && path.startsWith('query'));
    assert.ok(questions.length <= 4, questions.map(({ path }) => path).join());
    const question = mock().log.findLast(({ path }) => path === 'query/issues').body;
    const answer = await (await fetch(`${mock().url}query/issues`, { method: 'POST', body: JSON.stringify(question) })).json();
    const at = (column) => answer.columns.indexOf(column);
    assert.deepEqual(await page.locator('.issue-name').allInnerTexts(), answer.rows.map((row) => row[at('name')]));
    assert.deepEqual(await page.locator('.issues td:nth-child(4)').allInnerTexts(), answer.rows.map((row) => String(row[at('count')])));
    assert.deepEqual(await page.locator('.issues td:nth-child(5)').allInnerTexts(), answer.rows.map((row) => String(row[at('users')])));
    await page.clean();
  });

  it('is searched, ordered and narrowed in the address', async () => {
    const page = await open('#/errors?project=shop&range=24h');
    await until(page, 6);
    await page.getByRole('button', { name: 'Users' }).click();
    await page.getByPlaceholder('Search in names and messages').fill('COUPON');
    await until(page, 1);
    assert.match(page.url(), /q=COUPON&sort=users/);
    await page.reload();
    await until(page, 1);
    await page.getByRole('button', { name: 'Resolved', exact: true }).click();
    await page.waitForSelector('text=No issue matches');
    await page.clean();
  });

  it('takes decisions at once, says them, and takes them back', async () => {
    const asked = mock().log.length;
    const page = await open('#/errors?project=shop&range=24h');
    await until(page, 6);
    await page.getByRole('checkbox', { name: 'Choose TypeError' }).check();
    await page.getByRole('checkbox', { name: 'Choose RangeError' }).check();
    await page.locator('.chosen-bar').getByRole('button', { name: 'Resolve' }).click();
    await page.waitForSelector('text=2 issues resolved');
    await until(page, 4);
    assert.deepEqual(decided(asked).sort(), [['7a0fd2c8915be3f4', 'resolved'], [TYPE_ERROR, 'resolved']].sort());
    await page.locator('.said').getByRole('button', { name: 'Reopen' }).click();
    await until(page, 6);
    await page.waitForSelector('text=2 issues reopened');
    await page.clean();
  });

  it('says honestly what was refused, and shows the old state', async () => {
    const page = await open('#/errors?project=shop&range=24h', { allow: (message) => message.includes('503') });
    await until(page, 6);
    mock().faults.next.push({ status: 503, code: 'unavailable', message: 'the store does not answer' });
    await page.getByRole('checkbox', { name: 'Choose TypeError' }).check();
    await page.locator('.chosen-bar').getByRole('button', { name: 'Ignore' }).click();
    await page.waitForSelector('[role=alert]');
    assert.match(await text(page, '[role=alert]'), /1 of 1 could not be changed: the store does not answer/);
    assert.equal(await rowOf(page, 'TypeError').locator('.status').count(), 0);
    await picture(page, 'errors-refused', false);
    await page.locator('[role=alert]').getByRole('button', { name: 'Try again' }).click();
    await page.waitForSelector('text=1 issue ignored');
    await until(page, 5);
    await page.clean();
  });

  it('is worked through with the keyboard', async () => {
    const asked = mock().log.length;
    const page = await open('#/errors?project=shop&range=24h');
    await until(page, 6);
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    const names = await page.locator('.issue-name').allInnerTexts();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    assert.equal(await focused(), names[1]);
    await page.keyboard.press('k');
    assert.equal(await focused(), names[0]);
    await page.keyboard.press('x');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('x');
    assert.equal(await text(page, '.chosen-bar strong'), '2 chosen');
    await page.keyboard.press('r');
    await page.waitForSelector('text=2 issues resolved');
    await until(page, 4);
    // Going to a page is no decision, nor is typing.
    await page.getByPlaceholder('Search in names and messages').fill('r');
    await page.keyboard.type('rio');
    await page.waitForURL(/q=rrio/);
    assert.equal(decided(asked).length, 2);
    await page.goto(`${mock().url}#/errors?project=shop&range=24h&state=all`);
    await until(page, 6);
    await page.locator('.issue-name').first().focus();
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    await page.waitForURL(/#\/requests/);
    assert.equal(decided(asked).length, 2);
    await page.goBack();
    await until(page, 6);
    await page.locator('.issue-name').first().focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('.frame');
    await page.clean();
  });

  it('says when nothing is to do, and what else there is', async () => {
    const page = await open('#/errors?project=shop&range=24h&state=regressed');
    await page.waitForSelector('text=No issue here: Regressed');
    await page.getByRole('button', { name: 'Show all issues' }).click();
    await until(page, 6);
    await page.clean();
  });
});

describe('the page of an issue', () => {
  it('folds what is not of the application, and shows all and raw', async () => {
    const page = await open('#/errors/e80b53f17c2d4419?project=shop&range=24h&browser=Chrome');
    await page.waitForSelector('.frame');
    assert.equal(await text(page, '.frame-own .frame-function'), 'totalOf');
    const folded = page.locator('.frame-folded').first();
    assert.match(await folded.innerText(), /2 frames of libraries and the browser/);
    const before = await page.locator('.frame').count();
    await folded.getByRole('button').click();
    assert.equal(await page.locator('.frame').count(), before + 1);
    await page.getByRole('button', { name: 'Raw' }).first().click();
    assert.match(await text(page, '.raw'), /412:31/);
    await page.clean();
  });

  it('has causes, inner errors, components, and says what its events stand for', async () => {
    const moment = Date.now() - 1_000;
    const error = mock().stores.shop.findLast(({ fingerprint }) => fingerprint === TYPE_ERROR);
    const group = { ...error, fingerprint: 'feedfacefeedface' };
    mock().add('shop', [{ ...group, id: 'first', time: moment - 1 }, { ...group, id: 'repeats', time: moment, weight: 40, data: { ...error.data, folded: true } }]);
    const page = await open('#/errors/feedfacefeedface?project=shop&range=15m');
    await page.waitForSelector('.frame');
    assert.equal(await page.locator('.detail-head .facts dd').first().innerText(), '41');
    assert.match(await text(page, '.sample-nav p'), /^Event 1 of 2 \(standing for 41\)/);
    const cards = await page.locator('.sample h2').allInnerTexts();
    assert.deepEqual(cards.filter((title) => ['Stack', 'Caused by', 'Contains', 'Components'].includes(title)), ['Stack', 'Caused by', 'Contains', 'Components']);
    assert.deepEqual(await page.locator('.exception').allInnerTexts(), ['NetworkError\nno answer from the price service', 'RangeError\nthe quantity is below zero']);
    const context = await text(page, '.context');
    for (const line of ['onerror, not handled', 'CartTotal', '40 events, repeats of one that came before']) assert.ok(context.includes(line), line);
    await page.clean();
  });

  it('asks eight questions at most, and its breakdown adds up', async () => {
    const asked = mock().log.length;
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=24h`);
    await page.waitForSelector('.frame');
    await loaded(page);
    const questions = since(asked).filter(({ method, path, body }) => method === 'POST' && path.startsWith('query') && !(body?.measures?.length === 1 && !body.group_by && !body.step));
    assert.ok(questions.length <= 8, questions.map(({ path, body }) => `${path} ${body.group_by ?? ''}`).join('; '));
    const total = Number((await text(page, '.detail-head .facts dd')).replaceAll(',', ''));
    for (const title of ['Browser', 'Device', 'Release', 'Tag']) {
      const card = page.locator('.detail-side .card', { has: page.locator('h2', { hasText: title }) });
      const counts = (await card.locator('.bar-count').allInnerTexts()).map((said) => Number(said.split(' · ')[0].replaceAll(',', '')));
      assert.equal(counts.reduce((sum, count) => sum + count, 0), total, title);
    }
    // Which browsers the issue was seen in of late is chance.
    const bar = page.locator('.detail-side .bars > li', { has: page.getByTitle(/^Show only Browser /) }).last();
    const [browser] = (await bar.getByTitle(/^Show only Browser /).getAttribute('title')).match(/(?<=^Show only Browser ).+/);
    const count = (await bar.locator('.bar-count').innerText()).split(' · ')[0];
    await bar.getByTitle(/^Show only Browser /).click();
    await page.waitForFunction((name) => new URLSearchParams(location.hash.split('?')[1]).get('browser') === name, browser);
    await loaded(page);
    assert.equal(await text(page, '.detail-head .facts dd'), count);
    await page.clean();
  });

  it('goes through its events one by one and by the list, without asking again for what it has', async () => {
    const asked = mock().log.length;
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=7d`);
    await page.waitForSelector('.sample-nav');
    await loaded(page);
    const pages = () => since(asked).filter(({ path }) => path === 'query/events').length;
    for (let index = 0; index < 20; index++) await page.getByRole('button', { name: 'Older', exact: true }).click();
    await page.waitForFunction(() => document.querySelector('.sample-nav strong').textContent === 'Event 21');
    assert.equal(pages(), 2);
    await page.getByRole('button', { name: 'Newer', exact: true }).click();
    await page.waitForFunction(() => document.querySelector('.sample-nav strong').textContent === 'Event 20');
    await page.getByRole('button', { name: 'Load older events' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.latest-table tbody tr').length === 60);
    assert.equal(pages(), 3);
    await page.locator('.latest-table tbody tr').nth(44).getByRole('button').click();
    assert.equal(await text(page, '.sample-nav strong'), 'Event 45');
    const ids = since(asked).filter(({ path }) => path === 'query/events').map(({ body }) => body.cursor ?? null);
    assert.equal(new Set(ids).size, ids.length);
    await page.clean();
  });

  it('has the list of its events whole on a narrow screen', async () => {
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=24h`, { width: 1280 });
    await page.waitForSelector('.latest-table');
    await apart(page.locator('.table-scroll'));
    await page.clean();
  });

  it('leads to the session of its event', async () => {
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=24h`);
    await page.waitForSelector('.sample-nav');
    await page.getByRole('link', { name: 'Open the session' }).click();
    await page.waitForSelector('.chapter');
    assert.match(page.url(), /#\/sessions\/[0-9a-f]{16}\?/);
    await page.goBack();
    await page.waitForSelector('.sample-sessions li');
    await page.locator('.sample-sessions a').first().click();
    await page.waitForSelector('.chapter');
    await page.clean();
  });

  it('is resolved there, and says that it came back', async () => {
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=24h`);
    await page.waitForSelector('.detail-title .status-open');
    await page.getByRole('button', { name: 'Resolve', exact: true }).click();
    await page.waitForSelector('.detail-title .status-resolved');
    await page.waitForSelector('text=1 issue resolved');
    assert.equal(await page.locator('.regressed').count(), 0);
    const error = mock().stores.shop.findLast(({ fingerprint }) => fingerprint === TYPE_ERROR);
    mock().add('shop', [{ ...error, id: 'again', time: Date.now() + 1, release: '1.5.0' }]);
    await page.reload();
    await page.waitForSelector('.detail-title .status-regressed');
    assert.match(await text(page, '.regressed'), /It was resolved and came back: seen again .*, in 1\.5\.0\./);
    await picture(page, 'error-regressed', false);
    await page.clean();
  });

  it('without events offers to look further back', async () => {
    const page = await open('#/errors/0000000000000000?project=shop&range=15m');
    await page.waitForSelector('text=This issue has no events in this range');
    await page.getByRole('button', { name: 'Look at the last 90 days' }).click();
    assert.match(page.url(), /range=90d/);
    await page.clean();
  });

  it('turns its chart into a table', async () => {
    const page = await open(`#/errors/${TYPE_ERROR}?project=shop&range=24h`);
    await loaded(page);
    await page.getByRole('button', { name: /Events over time/ }).click();
    assert.ok(await page.getByRole('region', { name: /Events over time/ }).locator('tbody tr').count() >= 24);
    await page.clean();
  });
});

describe('hostile errors', () => {
  it('stay text on the list and on the page of an issue', async () => {
    const { fingerprint } = mock().stores.hostile.find(({ kind }) => kind === 'error');
    for (const [hash, see] of [['#/errors?project=hostile&range=1h', '.issues tbody tr'], [`#/errors/${encodeURIComponent(fingerprint)}?project=hostile&range=1h`, '.crumb-row']]) {
      const page = await open(hash);
      await page.waitForSelector(see);
      await loaded(page);
      for (let round = 0; round < 5; round++) await page.evaluate(() => { for (const node of document.querySelectorAll('details:not([open]) > summary')) node.click(); });
      assert.ok((await page.locator('#main').innerText()).includes('<img src=x onerror'));
      assert.equal(await page.locator('#main img, #main script, #main iframe').count(), 0);
      for (const protocol of await page.evaluate(() => [...document.querySelectorAll('a[href]')].map((link) => new URL(link.href).protocol))) assert.match(protocol, /^https?:$/);
      await page.clean();
    }
  });
});
