// Requests and resources.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitsPhone, loaded, picture, setup, text } from './harness.mjs';

const { mock, open } = setup();
const rows = (page) => page.locator('.data-table tbody tr');
const ask = async (body) => (await fetch(`${mock().url}query`, { method: 'POST', body: JSON.stringify(body) })).json();
/** The last question that was asked with this measure and these groups. */
const asked = (measure, groups = []) => mock().log.findLast(({ path, body }) => path === 'query' && body.kinds?.[0] === 'request' && body.measures.includes(measure) && String(body.group_by ?? []) === String(groups)).body;

describe('requests', () => {
  it('have the figures of the service, from five questions at most', async () => {
    const length = mock().log.length;
    const page = await open('#/requests?project=shop&range=24h');
    await rows(page).first().waitFor();
    await loaded(page);
    const questions = mock().log.slice(length).filter(({ path }) => path === 'query');
    assert.ok(questions.length <= 5, `${questions.length} questions`);
    const { totals } = await ask(mock().log.findLast(({ body }) => body?.totals && body.kinds?.[0] === 'request').body);
    const [, count, failures] = totals[0];
    assert.equal(await text(page, '.tile-value'), count.toLocaleString('en-US'));
    assert.match(await page.locator('.tile').nth(1).innerText(), new RegExp(`${failures.toLocaleString('en-US')} failed`));
    const listed = await ask(asked('sum', ['method', 'target']));
    assert.deepEqual((await rows(page).locator('td:nth-child(2)').allInnerTexts()).map((cell) => Number(cell.replaceAll(',', ''))), listed.rows.slice(0, 25).map((row) => row[2]));
    await page.clean();
  });

  it('are ordered, searched and shared by their address', async () => {
    const page = await open('#/requests?project=shop&range=24h');
    await rows(page).first().waitFor();
    await page.locator('.data-table').getByRole('button', { name: 'Failed' }).click();
    await page.waitForURL(/sort=-failures/);
    const failed = (await rows(page).locator('td:nth-child(3)').allInnerTexts()).map((cell) => Number(cell.replaceAll(',', '')));
    assert.deepEqual(failed, [...failed].sort((a, b) => b - a));
    await page.getByPlaceholder('Search in addresses').fill('checkout');
    await page.waitForFunction(() => [...document.querySelectorAll('.data-table tbody th')].every((cell) => cell.textContent.includes('checkout')));
    await page.reload();
    await rows(page).first().waitFor();
    assert.equal(await rows(page).count(), 2);
    await page.getByPlaceholder('Search in addresses').fill('nothing of the kind');
    await page.waitForSelector('text=No address matches');
    await page.clean();
  });

  it('and resources are called by what is written on them', async () => {
    for (const tab of ['requests', 'resources']) {
      const page = await open(`#/requests?project=shop&range=24h&tab=${tab}`);
      await rows(page).first().waitFor();
      await loaded(page);
      // WCAG 2.5.3: who speaks to the browser says what they see.
      const others = await page.locator('button[aria-label], a[aria-label]').evaluateAll((all) => {
        const plain = (text) => text.replace(/\s+/g, '').toLowerCase();
        return all.filter((element) => element.getClientRects().length > 0 && !plain(element.getAttribute('aria-label')).includes(plain(element.innerText))).map((element) => element.outerHTML.slice(0, 160));
      });
      assert.deepEqual(others, []);
      await page.clean();
    }
  });

  it('open to the latest ones, the failed first, with their sessions', async () => {
    const page = await open('#/requests?project=shop&range=24h');
    await rows(page).first().waitFor();
    await page.locator('.data-table').getByRole('button', { name: 'GET /api/products', exact: true }).click();
    await page.waitForSelector('.open-card .latest-table tbody tr');
    assert.match(page.url(), /open=GET&open=https/);
    const { body } = mock().log.findLast(({ path }) => path === 'query/events');
    assert.deepEqual(body.filters.map(({ field, op }) => `${field} ${op}`), ['target in', 'method in', 'failure not_in']);
    assert.equal(await page.locator('.open-card tbody tr').count(), await page.locator('.open-card tbody .tag-poor').count());
    await page.locator('.open-card').getByRole('button', { name: 'All', exact: true }).click();
    await page.waitForFunction(() => document.querySelector('.open-card .loaded:not(.stale)') && document.querySelectorAll('.open-card tbody .tag-poor').length < document.querySelectorAll('.open-card tbody tr').length);
    await picture(page, 'requests-open');
    await page.locator('.open-card tbody').getByRole('link', { name: 'Open' }).first().click();
    await page.waitForSelector('.chapter');
    await page.goBack();
    await page.waitForSelector('.open-card');
    await page.getByRole('button', { name: 'Close' }).click();
    await page.waitForFunction(() => !document.querySelector('.open-card'));
    assert.doesNotMatch(page.url(), /open=/);
    await page.clean();
  });

  it('lead to their events, by failure, by status and by endpoint', async () => {
    const page = await open('#/requests?project=shop&range=24h&browser=Chrome');
    await rows(page).first().waitFor();
    const hrefs = await page.locator('#main a[href*="#/events"]').evaluateAll((links) => links.map((link) => decodeURIComponent(link.hash)));
    for (const part of ['failure=network', 'status=502', 'target=https://shop.example/api/cart']) assert.ok(hrefs.some((href) => href.includes(part) && href.includes('kind=request') && href.includes('browser=Chrome')), part);
    await page.locator('.bars a', { hasText: 'network' }).click();
    await page.waitForURL(/#\/events\?/);
    await page.waitForSelector('.event-head');
    const { body } = mock().log.findLast(({ path }) => path === 'query/events');
    assert.ok(body.filters.some(({ field, values }) => field === 'failure' && values[0] === 'network'));
    await page.clean();
  });

  it('turn their charts into tables', async () => {
    const page = await open('#/requests?project=shop&range=24h');
    await rows(page).first().waitFor();
    for (const name of ['Answers by status', 'Duration']) {
      await page.getByRole('button', { name: new RegExp(`^${name}`) }).click();
      assert.ok(await page.getByRole('region', { name: new RegExp(`^${name}`) }).locator('tbody tr').count() >= 24);
    }
    await page.clean();
  });

  it('that nobody made are said', async () => {
    const page = await open('#/requests?project=shop&range=24h&release=none-of-this');
    await page.waitForSelector('text=Nothing matches the filters');
    await page.clean();
  });
});

describe('resources', () => {
  it('are the second tab, kept in the address', async () => {
    const page = await open('#/requests?project=shop&range=24h');
    await rows(page).first().waitFor();
    await page.getByRole('button', { name: 'Resources', exact: true }).click();
    await page.waitForURL(/tab=resources/);
    await page.waitForSelector('text=Slowest files');
    await loaded(page);
    await page.locator('.endpoint-open').first().click();
    await page.waitForSelector('.open-card .latest-table tbody tr');
    assert.match(page.url(), /tab=resources/);
    await page.reload();
    await page.waitForSelector('.open-card .latest-table tbody tr');
    await picture(page, 'resources-open');
    await page.getByRole('button', { name: 'Requests', exact: true }).click();
    await page.waitForFunction(() => !location.hash.includes('tab=') && !location.hash.includes('open='));
    await page.clean();
  });

  it('fit a phone', async () => {
    for (const tab of ['', '&tab=resources']) {
      const page = await open(`#/requests?project=shop&range=24h${tab}`, { width: 390, height: 844 });
      await rows(page).first().waitFor();
      await fitsPhone(page);
      await page.clean();
    }
  });
});

describe('hostile requests', () => {
  it('stay text', async () => {
    for (const tab of ['', '&tab=resources']) {
      const page = await open(`#/requests?project=hostile&range=1h${tab}`);
      await rows(page).first().waitFor();
      await page.locator('.endpoint-open').first().click();
      await page.waitForSelector('.open-card .latest-table tbody tr');
      assert.ok((await page.locator('#main').innerText()).includes('<img src=x onerror'));
      assert.equal(await page.locator('#main img, #main script, #main iframe').count(), 0);
      await page.clean();
    }
  });
});
