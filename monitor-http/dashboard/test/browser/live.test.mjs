// The live page: events as they are accepted, filtered by the service, and the figures of the moment.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Generator } from '../../mock/data.mjs';
import { setup, text } from './harness.mjs';

const { mock, open } = setup();

describe('live', () => {
  it('asks the service for the filtered events only', async () => {
    const page = await open('#/live?project=shop&device=mobile&kind=page_view');
    await page.waitForSelector('.live-live');
    const generator = new Generator(11);
    const events = Array.from({ length: 40 }, () => generator.session('shop', Date.now())).flat();
    mock().add('shop', events);
    const wanted = events.filter((event) => event.device === 'mobile' && event.kind === 'page_view');
    assert.ok(wanted.length > 0 && wanted.length < events.length);
    await page.waitForFunction((count) => document.querySelectorAll('.live-row').length === count, Math.min(wanted.length, 500));
    await page.clean();
  });

  it('shows what comes in right now, by kind, and the medians of the vitals', async () => {
    const page = await open('#/live?project=shop');
    await page.getByText('Events per second').waitFor();
    await page.waitForFunction(() => /Mean of the last 3 s/.test(document.body.innerText));
    assert.match(await text(page, '.tile:has-text("Events per second")'), /18\.0/);
    assert.match(await text(page, '.tile:has-text("Web vital")'), /36/);
    assert.match(await text(page, '.tile:has-text("LCP, median")'), /1\.84 s/);
    await page.clean();
  });
});
