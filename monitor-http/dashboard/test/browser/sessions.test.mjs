// Sessions: the list, and the story of one.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Generator } from '../../mock/data.mjs';
import { fitsPhone, loaded, picture, setup, text } from './harness.mjs';

const { mock, open: openPage } = setup();
const rows = (page) => page.locator('.sessions-table tbody tr');
const asked = () => mock().log.findLast(({ path }) => path === 'query/sessions').body;
const MINUTE = 60_000;
const SESSION = 'feedfacefeedface';
let start;

/** A session of which every event is known. */
function addKnown() {
  start = Date.now() - 40 * MINUTE;
  const generator = new Generator(11);
  const shared = { project: 'shop', session: SESSION, visitor: 'v-known', user: '4711', browser: 'Firefox', browser_version: '151.0', os: 'Linux', device: 'desktop', release: '1.4.0', environment: 'production' };
  const page = (id, route) => ({ page: id, route, url: `https://shop.example${route}`, title: route.slice(1) });
  let seq = 0;
  const event = (after, kind, more) => generator.event({ ...shared, seq: seq++, time: start + after, kind, name: kind, ...more });
  mock().add('shop', [
    event(0, 'page_view', { ...page('p1', '/known'), attributes: { navigation_type: 'load' } }),
    event(300, 'request', { ...page('p1', '/known'), name: 'fetch', value: 180, method: 'GET', status: 200, target: 'https://shop.example/api/known' }),
    event(900, 'vital', { ...page('p1', '/known'), name: 'LCP', value: 5100, rating: 'poor', target: '#hero' }),
    event(2_000, 'click', { ...page('p1', '/known'), target: 'button.next' }),
    event(2_000 + 3 * MINUTE, 'page_view', { ...page('p2', '/known/pay'), attributes: { navigation_type: 'push' } }),
    event(5_000 + 3 * MINUTE, 'request', { ...page('p2', '/known/pay'), name: 'fetch', value: 900, method: 'POST', status: 502, failure: 'http', target: 'https://shop.example/api/pay' }),
    event(5_100 + 3 * MINUTE, 'error', { ...page('p2', '/known/pay'), name: 'TypeError', message: 'no receipt', fingerprint: '9f2c61d0a4b7e813', exceptions: [], data: { message: 'no receipt', depth: { deep: ['found'] } } }),
    event(5_200 + 3 * MINUTE, 'console', { ...page('p2', '/known/pay'), name: 'error', data: { message: 'payment failed' } }),
    event(9_000 + 3 * MINUTE, 'rage_click', { ...page('p2', '/known/pay'), value: 6, target: 'button.pay' }),
    event(9_500 + 3 * MINUTE, 'longtask', { ...page('p2', '/known/pay'), value: 240, target: 'https://shop.example/app.js' }),
  ]);
}

async function open(...args) {
  if (start === undefined) addKnown();
  return openPage(...args);
}

describe('the list of sessions', () => {
  it('is in the order of the service, with one question', async () => {
    const length = mock().log.length;
    const page = await open('#/sessions?project=shop&range=24h');
    await rows(page).first().waitFor();
    await loaded(page);
    assert.equal(mock().log.slice(length).filter(({ path }) => path === 'query/sessions').length, 1);
    assert.equal(await rows(page).count(), 50);
    const answer = await (await fetch(`${mock().url}query/sessions`, { method: 'POST', body: JSON.stringify({ ...asked(), order: 'errors' }) })).json();
    await page.getByRole('button', { name: 'Most errors' }).click();
    await page.waitForFunction((id) => document.querySelector('.session-id').textContent === id, answer.rows[0][0]);
    assert.deepEqual(await page.locator('.session-id').allInnerTexts(), answer.rows.slice(0, 50).map(([session]) => session));
    assert.match(page.url(), /sort=errors/);
    await page.clean();
  });

  it('can be those with errors, rage clicks or failed requests', async () => {
    const page = await open('#/sessions?project=shop&range=24h');
    await rows(page).first().waitFor();
    for (const [name, column] of [['With errors', 6], ['Failed requests', 8]]) {
      await page.getByRole('button', { name, exact: true }).click();
      await page.waitForFunction((at) => document.querySelector('.loaded:not(.stale)') && [...document.querySelectorAll(`.sessions-table td:nth-child(${at})`)].every((cell) => Number(cell.textContent) > 0), column);
    }
    assert.deepEqual(asked().filters.map(({ field }) => field), ['kind', 'failure']);
    await page.clean();
  });

  it('is turned page by page, without loss', async () => {
    const page = await open('#/sessions?project=shop&range=24h');
    await rows(page).first().waitFor();
    await page.getByRole('button', { name: 'More', exact: true }).click();
    await page.waitForURL(/at=50/);
    await page.waitForFunction(() => document.querySelector('.pager .muted')?.textContent === '51–100' && document.querySelector('.loaded:not(.stale)'));
    assert.equal(asked().offset, 50);
    const second = await page.locator('.session-id').allInnerTexts();
    await page.getByRole('button', { name: 'Back', exact: true }).click();
    await page.waitForFunction((id) => document.querySelector('.loaded:not(.stale)') && ![...document.querySelectorAll('.session-id')].some((cell) => cell.textContent === id), second[0]);
    // Another choice begins at its first page.
    await page.getByRole('button', { name: 'More', exact: true }).click();
    await page.waitForURL(/at=50/);
    await page.getByRole('button', { name: 'Longest' }).click();
    assert.doesNotMatch(page.url(), /at=/);
    await page.clean();
  });

  it('finds the sessions of a user, as a filter that can be taken away', async () => {
    const page = await open('#/sessions?project=shop&range=24h');
    await rows(page).first().waitFor();
    await page.getByRole('searchbox', { name: 'User id' }).fill('4711');
    await page.keyboard.press('Enter');
    await page.waitForURL(/user=4711/);
    await page.waitForFunction(() => document.querySelectorAll('.sessions-table tbody tr').length === 1);
    assert.match(await rows(page).first().innerText(), /User 4711[\s\S]*3 min 10 s[\s\S]*\/known[\s\S]*\/known\/pay/);
    await page.getByRole('combobox', { name: 'Find by' }).selectOption('visitor');
    await page.getByRole('searchbox', { name: 'Visitor id' }).fill('nobody');
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=No session matches');
    await page.clean();
  });

  it('fits a phone', async () => {
    const page = await open('#/sessions?project=shop&range=24h', { width: 390, height: 844 });
    await rows(page).first().waitFor();
    await fitsPhone(page);
    await page.clean();
  });
});

describe('a session', () => {
  it('is told in order: pages as chapters, pauses, what went wrong', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h`);
    await page.waitForSelector('.chapter');
    await loaded(page);
    assert.deepEqual(await page.locator('.chapter-route').allInnerTexts(), ['/known', '/known/pay']);
    const lines = await page.locator('.chapters').evaluate((list) => [...list.querySelectorAll('.moment-row, .gap')].map((row) => (row.classList.contains('gap') ? row.innerText : ['.moment', '.moment-kind', '.moment-text'].map((part) => row.querySelector(part).innerText.trim()).join(' | '))));
    assert.deepEqual(lines, [
      '0:00.3 | Request | GET https://shop.example/api/known', '0:00.9 | Web vital | LCP #hero', '0:02.0 | Click | button.next', '3 min 00 s without an event',
      '3:05.0 | Request | POST https://shop.example/api/pay', '3:05.1 | Error | TypeError no receipt', '3:05.2 | Console | error payment failed', '3:09.0 | Rage click | button.pay', '3:09.5 | Long task | https://shop.example/app.js',
    ]);
    assert.match(await text(page, '.session-head'), /User 4711[\s\S]*Duration\s+3 min 10 s[\s\S]*Firefox 151\.0/);
    assert.ok(await page.locator('.moment-row', { hasText: 'LCP' }).locator('.band-poor').isVisible(), 'a vital shows its band');
    await picture(page, 'session-known', false);
    await page.clean();
  });

  it('shows the kinds one chooses, and how many it hides', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h`);
    await page.waitForSelector('.chapter');
    await page.locator('.lanes').getByRole('button', { name: /Errors/ }).click();
    await page.locator('.lanes').getByRole('button', { name: /Rage/ }).click();
    assert.match(page.url(), /lane=errors&lane=rage/);
    assert.deepEqual(await page.locator('.moment-kind').allInnerTexts(), ['Error', 'Rage click']);
    assert.deepEqual(await page.locator('.chapter-hidden').allInnerTexts(), ['3 events hidden by the choice above', '3 events hidden by the choice above']);
    assert.equal(await page.locator('.chapter-route').count(), 2);
    await page.reload();
    await page.waitForSelector('.chapter');
    assert.deepEqual(await page.locator('.moment-kind').allInnerTexts(), ['Error', 'Rage click']);
    await page.locator('.lanes').getByRole('button', { name: /All/ }).click();
    assert.equal(await page.locator('.moment-row').count(), 8);
    await page.clean();
  });

  it('opens an event to its details and its issue', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h`);
    await page.waitForSelector('.chapter');
    const error = page.locator('.moment-row', { hasText: 'no receipt' });
    await error.getByRole('button').first().click();
    await error.locator('.json summary', { hasText: 'data' }).click();
    await error.locator('.json summary', { hasText: 'depth' }).click();
    await error.locator('.json summary', { hasText: 'deep' }).click();
    await error.getByText('"found"').waitFor();
    await error.getByRole('link', { name: 'Open the issue' }).click();
    await page.waitForSelector('.detail-head');
    assert.match(page.url(), /#\/errors\/9f2c61d0a4b7e813/);
    await page.clean();
  });

  it('leads from its picture to the event', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h`, { height: 500 });
    await page.waitForSelector('.course-mark');
    await page.locator('.course-mark.lane-errors').first().click();
    await page.waitForFunction(() => document.activeElement?.matches('.moment-row') && document.activeElement.textContent.includes('no receipt'));
    assert.ok(await page.locator('.moment-row', { hasText: 'no receipt' }).isVisible());
    await page.clean();
  });

  it('leads to the other sessions of its user, and to its events', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h&browser=Safari`);
    await page.waitForSelector('.session-head');
    assert.match(await page.getByRole('link', { name: 'As a list of events' }).getAttribute('href'), new RegExp(`#/events\\?.*session=${SESSION}`));
    await page.getByRole('link', { name: 'Sessions of this user' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.sessions-table tbody tr').length === 1);
    assert.doesNotMatch(page.url(), /Safari/);
    await page.clean();
  });

  it('is shown whole when the range ends before it does', async () => {
    if (start === undefined) addKnown();
    const page = await open(`#/sessions/${SESSION}?project=shop&from=${start - MINUTE}&to=${start + 1_000}`);
    await page.waitForSelector('.chapter');
    assert.equal(await page.locator('.moment-row').count(), 8);
    await page.clean();
  });

  it('is found again when the range has moved on, and leads back to the list as it was', async () => {
    const page = await open('#/sessions?project=shop&range=24h&user=4711&with=errors&sort=longest');
    await page.getByRole('link', { name: 'User 4711' }).click();
    await page.waitForSelector('.chapter');
    assert.match(page.url(), new RegExp(`around=${start}`));
    await page.getByRole('link', { name: 'All sessions' }).click();
    await rows(page).first().waitFor();
    assert.equal(new URL(page.url()).hash, '#/sessions?project=shop&range=24h&user=4711&sort=longest&with=errors');
    await page.goto(`${mock().url}#/sessions/${SESSION}?project=shop&from=1&to=2&around=${start}`);
    await page.waitForSelector('.chapter');
    await page.clean();
  });

  it('that does not exist is said, with a way out', async () => {
    const page = await open('#/sessions/0000?project=shop&range=15m');
    await page.waitForSelector('text=No such session in this range');
    await page.getByRole('button', { name: 'Look at the last 90 days' }).click();
    assert.match(page.url(), /range=90d/);
    await page.clean();
  });

  it('asks for all of an event only when it is opened', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h`);
    await page.waitForSelector('.chapter');
    const asked = () => mock().log.filter(({ path }) => path === 'query/events').map(({ body }) => body);
    assert.ok(asked().at(-1).fields.includes('message') && !asked().at(-1).fields.includes('received'));
    const before = asked().length;
    await page.locator('.moment-head').first().click();
    await page.waitForSelector('.moment-details .json');
    const [opened, ...more] = asked().slice(before);
    assert.deepEqual([opened.fields, opened.to - opened.from, more], [undefined, 1, []]);
    const shown = await page.locator('.moment-details').first().innerText();
    const event = mock().stores.shop.find(({ id }) => id === opened.filters[0].values[0]);
    assert.ok(shown.includes(event.id) && shown.includes(String(event.received)), shown);
    // What was read once is there at once.
    await page.locator('.moment-head').first().click();
    await page.locator('.moment-head').first().click();
    await page.waitForSelector('.moment-details .json');
    await page.clean();
  });

  it('of a hostile visitor stays text', async () => {
    const { session } = mock().stores.hostile[0];
    const page = await open(`#/sessions/${encodeURIComponent(session)}?project=hostile&range=1h`);
    await page.waitForSelector('.chapter');
    await page.locator('.moment-head').first().click();
    await page.waitForSelector('.moment-details .json');
    for (let round = 0; round < 4; round++) await page.evaluate(() => { for (const node of document.querySelectorAll('details:not([open]) > summary')) node.click(); });
    assert.ok((await page.locator('#main').innerText()).includes('<img src=x onerror'));
    assert.equal(await page.locator('#main img, #main script, #main iframe').count(), 0);
    await page.clean();
  });

  it('fits a phone', async () => {
    const page = await open(`#/sessions/${SESSION}?project=shop&range=1h`, { width: 390, height: 844, scheme: 'dark' });
    await page.waitForSelector('.chapter');
    await fitsPhone(page);
    await page.clean();
  });
});
