// The behaviour page: what it shows is what the service answers, and what is chosen is in the address.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apart, loaded, setup } from './harness.mjs';

const { mock, open } = setup();

/** The last question that the page put to a path. */
const lastQuestion = (path) => mock().log.filter((entry) => entry.path === path).at(-1)?.body;

const ask = async (path, question) => (await fetch(`${mock().url}${path}`, { method: 'POST', body: JSON.stringify(question) })).json();

describe('behaviour', () => {
  it('shows views, visitors and pages as they were counted', async () => {
    const page = await open('#/behaviour?project=shop&range=24h');
    await loaded(page);
    const question = mock().log.find(({ path, body }) => path === 'query' && body.group_by?.[0] === 'route').body;
    const { rows } = await ask('query', question);
    const first = rows[0];
    const cells = await page.locator('table', { hasText: 'Visible time per view' }).locator('tbody tr').first().locator('th, td').allInnerTexts();
    assert.equal(cells[0], first[0]);
    assert.deepEqual(cells.slice(1, 3).map((cell) => Number(cell.replaceAll(',', ''))), first.slice(1, 3));
    await page.clean();
  });

  it('builds a funnel whose steps are in the address', async () => {
    const page = await open('#/behaviour?project=shop&range=7d&tab=funnel');
    await loaded(page);
    assert.equal(await page.locator('.funnel-result > li').count(), 2);
    await page.getByLabel('Which, in step 1').fill('/cart');
    await page.getByLabel('Which, in step 1').press('Enter');
    await page.getByLabel('What happens in step 2').selectOption('page_view');
    await page.getByLabel('Which, in step 2').fill('/checkout');
    await page.getByLabel('Which, in step 2').press('Enter');
    await page.getByRole('button', { name: 'Add step' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.funnel-result > li').length === 3);
    assert.deepEqual(lastQuestion('query/funnel').steps.map(({ label }) => label), ['/cart', '/checkout', 'page_view']);
    assert.match(decodeURIComponent(page.url()), /step=1\.page_view:\/cart&step=2\.page_view:\/checkout/);

    await page.reload();
    await loaded(page);
    assert.equal(await page.getByLabel('Which, in step 2').inputValue(), '/checkout');
    const { rows } = await ask('query/funnel', lastQuestion('query/funnel'));
    const counts = await page.locator('.funnel-numbers > div:first-child dd').allInnerTexts();
    assert.deepEqual(counts.map((count) => Number(count.replaceAll(',', ''))), rows.map(([, , count]) => count));
    await page.getByRole('button', { name: 'Remove step 3' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.funnel-result > li').length === 2);
    await page.clean();
  });

  it('has what can be done with a step beside it, also on a phone', async () => {
    const page = await open('#/behaviour?project=shop&range=7d&tab=funnel', { width: 390, height: 844 });
    await loaded(page);
    await apart(page.locator('.funnel-steps :is(.funnel-number, select, input, button)'));
    const middle = async (control) => { const { y, height } = await control.boundingBox(); return y + height / 2; };
    const field = await middle(page.getByLabel('Which, in step 2'));
    for (const button of await page.locator('.funnel-steps > li').nth(1).getByRole('button').all()) assert.equal(await middle(button), field);
    await page.clean();
  });

  it('equal steps stay two steps', async () => {
    const page = await open('#/behaviour?project=shop&range=7d&tab=funnel&step=1.page_view:&step=2.page_view:');
    await loaded(page);
    assert.equal(await page.locator('.funnel-steps > li').count(), 2);
    assert.equal(await page.locator('.funnel-result > li').count(), 2);
    await page.clean();
  });

  it('shows which share of each cohort came again, and nothing of the days ahead', async () => {
    const page = await open('#/behaviour?project=shop&range=7d&tab=retention');
    await loaded(page);
    const { rows } = await ask('query/retention', lastQuestion('query/retention'));
    const cohorts = [...new Set(rows.map(([cohort]) => cohort))];
    assert.equal(await page.locator('.retention tbody tr').count(), cohorts.length);
    // Of today, unless it has only begun and nobody came yet.
    const last = Math.max(...cohorts);
    const cells = await page.locator('.retention tbody tr').last().locator('td').allInnerTexts();
    const ahead = cells.filter((_, day) => last + day * 86_400_000 > Date.now());
    assert.ok(ahead.length >= 5 && ahead.every((cell) => cell === '–'), `no day has a tomorrow yet: ${cells}`);
    await page.getByRole('button', { name: 'Weeks' }).click();
    await page.waitForFunction(() => /period=week/.test(location.hash));
    await page.clean();
  });

  it('follows the paths from a route that is clicked', async () => {
    const page = await open('#/behaviour?project=shop&range=7d&tab=paths');
    await loaded(page);
    const target = page.locator('.paths .path-to button').first();
    const route = await target.innerText();
    await target.click();
    await page.waitForFunction((name) => decodeURIComponent(location.hash).includes(`start=${name}`), route);
    await loaded(page);
    assert.equal(lastQuestion('query/paths').start, route);
    const sources = await page.locator('.paths section').first().locator('.path-from').allInnerTexts();
    assert.deepEqual([...new Set(sources.map((source) => source.replace(/^From\s+/, '').trim()))], [route]);
    await page.clean();
  });

  it('says so when there is nothing to show', async () => {
    for (const [tab, text] of [['traffic', 'No clicks in this range'], ['funnel', 'Nobody made the first step'], ['retention', 'No visitors in this range'], ['paths', 'No page views to follow']]) {
      const page = await open(`#/behaviour?project=shop&range=24h&tab=${tab}&route=%2Fnowhere`);
      await loaded(page);
      await page.getByText(text).waitFor();
      await page.clean();
    }
  });
});
