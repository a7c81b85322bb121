// The performance page.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Generator } from '../../mock/data.mjs';
import { apart, loaded, setup, text } from './harness.mjs';

const { mock, startMock, open } = setup();

describe('performance', () => {
  it('looks at the vital that is chosen, everywhere on the page', async () => {
    const page = await open('#/performance?project=shop&range=24h');
    await page.waitForSelector('.routes tbody tr');
    await page.locator('.vital', { hasText: 'INP' }).click();
    await page.waitForFunction(() => !document.querySelector('.stale') && document.querySelector('.chart-card h2').textContent.startsWith('INP'));
    await loaded(page);
    const titles = await page.locator('main h2').allInnerTexts();
    for (const title of ['INP: median, 75th and 95th percentile', 'INP: how the values spread', 'INP by browser']) assert.ok(titles.includes(title), titles.join(', '));
    assert.match(page.url(), /vital=INP/);
    assert.ok((await page.locator('.routes thead').innerText()).includes('Poor INP'));
    await page.clean();
  });

  it('shows a histogram whose table adds up to its samples', async () => {
    const page = await open('#/performance?project=shop&range=24h');
    await page.waitForSelector('.histogram');
    const samples = Number((await text(page, '.histogram-said')).replace(/\D/g, ''));
    assert.ok(samples > 100);
    await page.getByRole('button', { name: 'LCP: how the values spread: show as table' }).click();
    const shares = (await page.locator('.histogram-table td:last-child').allInnerTexts()).map((share) => Number.parseFloat(share.replace('<', '')));
    assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 100) < 6, String(shares));
    const bands = await page.locator('.histogram-table td:nth-child(3)').allInnerTexts();
    assert.deepEqual([...new Set(bands)], ['Good', 'Needs improvement', 'Poor']);
    await page.clean();
  });

  it('writes the limits of a histogram apart, also on a long axis and on a phone', async () => {
    const server = await startMock();
    const generator = new Generator(3);
    // Up to 6 s: between the limits of INP, 200 and 500 ms, there is a twentieth of the axis.
    server.add('blog', Array.from({ length: 400 }, (_, index) => generator.event({ project: 'blog', kind: 'vital', name: 'INP', value: 15 * index + 1, rating: 'poor', time: Date.now() - 60_000 - index })));
    for (const width of [1280, 390]) {
      const page = await open('#/performance?project=blog&range=1h&vital=INP', { server, width });
      await page.waitForSelector('.histogram-limit');
      await loaded(page);
      const names = await apart(page.locator('.histogram-limit > span'));
      assert.deepEqual(names.map(({ said }) => said), ['200 ms', '500 ms']);
      const lines = await apart(page.locator('.histogram-limit'));
      for (const name of names) {
        for (const line of lines.filter(({ said }) => said !== name.said)) assert.ok(line.left < name.left || line.left > name.right || line.top >= name.bottom, `a line goes through ${name.said} at ${width} px`);
      }
      await page.clean();
    }
    // On a short one, the upper limit is near the right end.
    const page = await open('#/performance?project=shop&range=24h&vital=CLS', { width: 390 });
    await page.waitForSelector('.histogram-limit');
    await loaded(page);
    const [names, card] = [await apart(page.locator('.histogram-limit > span')), await page.locator('.histogram').boundingBox()];
    for (const { said, left, right } of names) assert.ok(left >= card.x && right <= card.x + card.width, `${said} stays in its card`);
    await page.clean();
  });

  it('names the parts of a load whole on a phone', async () => {
    const page = await open('#/performance?project=shop&range=24h', { width: 390, height: 844 });
    await page.waitForSelector('.waterfall');
    await loaded(page);
    await apart(page.locator('.waterfall-label'));
    assert.ok((await apart(page.locator('.waterfall-tick'))).length >= 2);
    await page.clean();
  });

  it('breaks down by the navigation type, and filters by what is clicked', async () => {
    const page = await open('#/performance?project=shop&range=24h');
    await page.waitForSelector('.breakdown tbody tr');
    await page.getByLabel('Break down by').selectOption('attributes.navigation_type');
    await page.locator('.breakdown').getByRole('button', { name: 'reload', exact: true }).click();
    await page.waitForFunction(() => !document.querySelector('.stale') && document.querySelectorAll('.breakdown tbody tr').length === 1);
    assert.match(page.url(), /attributes\.navigation_type=reload.*by=attributes\.navigation_type/);
    await page.clean();
  });

  it('says of how many loads its waterfall is the mean', async () => {
    const page = await open('#/performance?project=shop&range=24h');
    await page.waitForSelector('.waterfall');
    await loaded(page);
    assert.match(await text(page, '.foot'), /Mean of the latest \d+ loads with a visible page, out of [\d,]+ in this range/);
    const asked = mock().log.findLast(({ path }) => path === 'query/events').body;
    assert.deepEqual([asked.kinds, asked.limit, asked.fields], [['navigation'], 200, ['data']]);
    assert.deepEqual((await page.locator('.waterfall-label').allInnerTexts()).slice(-3), ['DOM until interactive', 'Resources until complete', 'Load event']);
    await page.clean();
  });

  it('names what was worst on each route', async () => {
    const page = await open('#/performance?project=shop&range=7d');
    await page.waitForSelector('.routes .target');
    await page.locator('.routes tbody tr', { hasText: '/search' }).getByRole('link').last().click();
    await page.waitForSelector('.event-head');
    assert.match(page.url(), /#\/events\?.*route=%2Fsearch&.*name=LCP&.*rating=poor.*kind=vital/);
    await page.clean();
  });
});
