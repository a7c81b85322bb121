// The system page: the figures of the process and of the store, each with its unit.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apart, loaded, setup, text } from './harness.mjs';

const { open } = setup();

describe('system', () => {
  it('tells losses from what was left out on purpose, with the reason', async () => {
    const page = await open('#/system?project=shop');
    await loaded(page);
    const row = (reason) => page.locator('tr', { hasText: reason });
    assert.match(await row('queue_overflow').innerText(), /Discarded in the browser.*Lost.*17/s);
    assert.match(await row('window').innerText(), /Copies left out.*Not lost.*311/s);
    // 4 refused and 17 discarded; copies, dead letters and refused requests are none.
    assert.match(await text(page, '.tile:has-text("Events lost")'), /21/);
    await page.clean();
  });

  it('shows what is stored and what a million events take', async () => {
    const page = await open('#/system?project=shop');
    await page.getByText('Disk per million events').waitFor();
    assert.match(await text(page, '.tile:has-text("Disk per million")'), /98\.2 MiB/);
    assert.equal(await page.locator('tr', { hasText: 'rollup_hours' }).count(), 1);
    await page.clean();
  });

  it('has its tables and figures whole on a narrow screen', async () => {
    const page = await open('#/system?project=shop', { width: 1280 });
    await page.getByText('Disk per million events').waitFor();
    await loaded(page);
    await apart(page.locator('.table-scroll'));
    const heights = (await apart(page.locator('.tile-value'))).map(({ top, bottom }) => bottom - top);
    assert.ok(Math.max(...heights) < 40, `figures are ${heights} px high`);
    await page.clean();
  });

  it('keeps the figures of the process from those who may see a project only', async () => {
    const page = await open('#/system?project=shop');
    await page.route('**/query/system', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), process: null } });
    });
    await page.reload();
    await page.getByText('shown to readers of all projects only').waitFor();
    assert.equal(await page.getByText('Events lost').count(), 0);
    await page.clean();
  });
});
