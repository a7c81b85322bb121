// Every page, in every look. Each area's own tests say what its pages do.

import { describe, it } from 'node:test';
import { Generator } from '../../mock/data.mjs';
import { LOOKS, fitsPhone, picture, setup } from './harness.mjs';

const { mock, open } = setup();
const TYPE_ERROR = '9f2c61d0a4b7e813';

const pages = {
  overview: { hash: '#/overview?project=shop&range=24h', see: '.chart-canvas canvas' },
  'overview-30d': { hash: '#/overview?project=shop&range=30d&vital=INP', see: '.chart-canvas canvas' },
  performance: { hash: '#/performance?project=shop&range=24h', see: '.routes tbody tr' },
  errors: { hash: '#/errors?project=shop&range=24h', see: 'main .table tbody tr' },
  error: { hash: `#/errors/${TYPE_ERROR}?project=shop&range=24h`, see: '.frame' },
  requests: { hash: '#/requests?project=shop&range=24h', see: 'main .table tbody tr' },
  resources: { hash: '#/requests?project=shop&range=24h&tab=resources', see: 'main .table tbody tr' },
  behaviour: { hash: '#/behaviour?project=shop&range=7d', see: 'main .loaded' },
  sessions: { hash: '#/sessions?project=shop&range=24h', see: 'main .table tbody tr' },
  live: { hash: '#/live?project=shop', see: '.live-row', live: true },
  events: { hash: '#/events?project=shop&range=1h', see: '.event-head' },
  system: { hash: '#/system?project=shop', see: 'main .table' },
  welcome: { hash: '#/overview?project=blog', see: '.welcome' },
};

describe('every page renders, in light, dark, on a phone and in Chinese', () => {
  for (const [name, { hash, see, live }] of Object.entries(pages)) {
    for (const [look, options] of Object.entries(LOOKS)) {
      it(`${name}, ${look}`, async () => {
        const page = await open(hash, options);
        if (live) {
          await page.waitForSelector('.live-live');
          const generator = new Generator(5);
          mock().add('shop', [1, 2, 3, 4, 5, 6, 7, 8].flatMap(() => generator.session('shop', Date.now())));
        }
        await page.waitForSelector(see);
        await page.waitForFunction(() => !document.querySelector('.skeleton'));
        if (look.startsWith('phone')) await fitsPhone(page);
        await picture(page, `${name}-${look}`, !live);
        await page.clean();
      });
    }
  }
});
