// What stands around every page: address, filters, refresh, keyboard, language, sign-in, failures.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { ATTACKS, Generator } from '../../mock/data.mjs';
import { loaded, picture, setup, text } from './harness.mjs';

const { mock, startMock, open } = setup();
const question = (server, test) => server.log.findLast(({ path, body }) => path === 'query' && test(body)).body;
const again = async (server, body, path = 'query') => (await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body) })).json();

describe('numbers', () => {
  it('of the overview are those of the service', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    const people = await again(mock(), question(mock(), ({ measures, step }) => measures.includes('sessions') && !step));
    const traffic = await again(mock(), mock().log.filter(({ path, body }) => path === 'query' && body.measures.includes('failures')).sort((a, b) => a.body.to - b.body.to).at(-1).body);
    const [views, errors, requests, failures] = [1, 2, 3, 4].map((column) => traffic.rows.reduce((sum, row) => sum + row[column], 0));
    const tiles = await page.locator('.tile-value').allInnerTexts();
    assert.deepEqual(tiles.slice(0, 3), [...people.rows[0], views].map((count) => count.toLocaleString('en-US')));
    assert.ok((await text(page, '.tile:nth-child(4)')).includes(`${errors} errors`));
    assert.ok((await text(page, '.tile:nth-child(5)')).includes(`${failures.toLocaleString('en-US')} of ${requests.toLocaleString('en-US')}`));
    const [, before] = people.previous[0];
    const change = people.rows[0][1] / before - 1;
    assert.ok((await text(page, '.tile:nth-child(2)')).includes(`${(Math.abs(change) * 100).toFixed(Math.abs(change) < 0.0995 ? 1 : 0)}%`), 'the change against the period before');
    await page.clean();
  });

  it('refresh by themselves without a skeleton, and each page asks at most eight questions', async () => {
    const server = await startMock();
    const page = await open('#/overview?project=shop&range=15m', { server });
    await loaded(page);
    const asked = () => server.log.filter(({ path }) => path.startsWith('query') && path !== 'query/projects' && path !== 'query/me').length;
    // The page's own seven, and whether the project has events at all.
    assert.ok(asked() <= 8, `${asked()} questions`);
    const before = await page.locator('.tile-value').allInnerTexts();
    await page.locator('.chart-canvas canvas').first().hover({ position: { x: 300, y: 90 } });
    await page.waitForSelector('.tip-row');
    await page.evaluate(() => {
      window.__skeletons = 0;
      new MutationObserver(() => { if (document.querySelector('.skeleton, .stale')) window.__skeletons++; }).observe(document.body, { childList: true, subtree: true, attributes: true });
    });
    const generator = new Generator(1);
    server.add('shop', Array.from({ length: 40 }, () => generator.session('shop', Date.now())).flat().map((event) => ({ ...event, time: Date.now() })));
    await page.waitForFunction((old) => document.querySelectorAll('.tile-value')[2].textContent !== old, before[2], { timeout: 20_000 });
    assert.equal(await page.evaluate(() => window.__skeletons), 0);
    await page.waitForTimeout(200);
    assert.ok(await page.locator('.tip-row').first().isVisible(), 'what is under the pointer stays');
    assert.ok(await page.locator('.live-live').isVisible());
    for (const [hash, see] of [['performance', '.routes tbody tr'], ['events', '.event-head']]) {
      const count = asked();
      await page.goto(`${server.url}#/${hash}?project=shop&range=7d`);
      await page.waitForSelector(see);
      await loaded(page);
      assert.ok(asked() - count <= 9, `${hash}: ${asked() - count} questions`);
    }
    await page.clean();
    await server.close();
  });

  it('of a chart are there as a table, as a file, and under the pointer', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    await page.locator('.chart-canvas canvas').first().hover({ position: { x: 300, y: 90 } });
    await page.waitForSelector('.tip-row');
    assert.match((await text(page, '.tip')).replaceAll('\n', ' '), /Page views [\d,]+ Page views before [\d,]+ Errors \d+/);
    await page.getByRole('button', { name: 'Page views and errors: show as table' }).click();
    const rows = page.getByRole('region', { name: 'Page views and errors, table' }).locator('tbody tr');
    assert.ok(await rows.count() >= 24);
    const shown = await rows.last().locator('td').allInnerTexts();
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download Page views and errors as CSV' }).click();
    const lines = (await readFile(await (await saved).path(), 'utf8')).trim().split('\r\n');
    assert.equal(lines[0], 'Time,Page views,Page views before,Errors');
    assert.deepEqual(lines[1].split(',').slice(1), shown.map((cell) => cell.replaceAll(',', '').replace('–', '')));
    await page.clean();
  });

  it('say how they were answered', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    await page.getByRole('button', { name: 'How this was answered' }).first().click();
    const said = (await text(page, '.answered')).replaceAll('\n', ' ');
    for (const part of ['figures worked out before', 'all visitors', 'Rows read', 'ms']) assert.ok(said.includes(part), `${part} in ${said}`);
    await page.clean();
  });

  it('lead to the events behind them, which can be taken along', async () => {
    const page = await open('#/overview?project=shop&range=7d&browser=Safari');
    await loaded(page);
    await page.locator('.tile:nth-child(4) .tile-value a').click();
    await page.waitForSelector('.event-head');
    assert.match(page.url(), /#\/events\?.*browser=Safari.*kind=error/);
    const first = page.locator('.event-head').first();
    assert.match(await first.innerText(), /Error/);
    const shown = await page.locator('.event-head').count();
    await page.getByRole('button', { name: 'Show older events' }).click();
    await page.waitForFunction((count) => document.querySelectorAll('.event-head').length > count, shown);
    await first.click();
    assert.ok(await page.getByRole('link', { name: 'Open session' }).isVisible());
    for (const [name, file] of [['Export CSV', 'events.csv'], ['Export NDJSON', 'events.ndjson']]) {
      const saved = page.waitForEvent('download');
      await page.getByRole('button', { name }).click();
      const download = await saved;
      assert.equal(download.suggestedFilename(), file);
      const contents = await readFile(await download.path(), 'utf8');
      assert.ok(contents.split('\n').length > shown);
      assert.ok(contents.includes('Safari') && !contents.includes('Firefox'));
    }
    await page.clean();
  });
});

describe('the address', () => {
  it('holds range, filters and order, and brings them back', async () => {
    const page = await open('#/performance?project=shop&range=1h');
    await page.waitForSelector('.routes tbody tr');
    await page.getByRole('button', { name: '7d', exact: true }).click();
    await page.locator('.filters').getByRole('button', { name: 'Browser', exact: true }).click();
    await page.getByRole('checkbox', { name: /Safari/ }).check();
    await picture(page, 'filter', false);
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.popover-panel').count(), 0);
    await page.locator('.routes').getByRole('button', { name: 'LCP', exact: true }).click();
    await page.locator('.routes').getByRole('button', { name: '/cart', exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll('.routes tbody tr').length === 1);
    assert.equal(new URL(page.url()).hash, '#/performance?project=shop&range=7d&route=%2Fcart&browser=Safari&sort=-LCP');
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll('.routes tbody tr').length === 1);
    assert.ok(await page.getByRole('button', { name: 'Browser: Safari' }).isVisible());
    await page.goBack();
    await page.waitForFunction(() => document.querySelectorAll('.routes tbody tr').length > 1);
    await page.clean();
  });

  it('filters by any attribute and tag, and gives each filter back', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    const all = await text(page, '.tile-value');
    await page.getByRole('button', { name: 'Attribute or tag' }).click();
    await page.getByLabel('Kept in').selectOption('tags');
    await page.getByLabel('Name', { exact: true }).fill('tenant');
    await page.getByLabel('Value', { exact: true }).fill('acme');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.waitForFunction((old) => !document.querySelector('.stale') && document.querySelector('.tile-value').textContent !== old, all);
    assert.match(page.url(), /tags\.tenant=acme/);
    await page.getByRole('button', { name: 'Remove tenant' }).click();
    await page.waitForFunction((old) => document.querySelector('.tile-value').textContent === old, all);
    await page.clean();
  });

  it('asked for again quickly gives up the earlier questions and shows the last', async () => {
    const server = await startMock();
    const page = await open('#/performance?project=shop&range=15m', { server });
    await page.waitForSelector('.routes tbody tr, .empty');
    await loaded(page);
    server.faults.delay = 700;
    const given = [];
    page.on('requestfailed', (request) => given.push(request.failure().errorText));
    await page.getByRole('button', { name: '30d', exact: true }).click();
    await page.waitForTimeout(100);
    assert.ok(await page.locator('.stale').first().isVisible());
    await page.getByRole('button', { name: '6h', exact: true }).click();
    await page.waitForFunction(() => !document.querySelector('.stale'));
    assert.deepEqual([...new Set(given)], ['net::ERR_ABORTED']);
    const body = question(server, ({ group_by: groups }) => groups?.join() === 'route,name');
    assert.ok(body.to - body.from < 7 * 3_600_000);
    server.faults.delay = 0;
    const { rows } = await again(server, body);
    const shown = (await page.locator('.routes tbody td:nth-child(2)').allInnerTexts()).map((cell) => Number(cell.replaceAll(',', '')));
    const counted = rows.filter(([, name]) => name === 'LCP').map(([, , , count]) => count);
    assert.deepEqual(shown, counted.sort((a, b) => b - a));
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

  it('is kept under a name, in the browser', async () => {
    const page = await open('#/performance?project=shop&range=7d&device=mobile&vital=INP');
    await page.getByRole('button', { name: 'Saved views' }).click();
    await page.getByLabel('Name of the view').fill('Phones');
    await page.getByRole('button', { name: 'Save this view' }).click();
    await page.goto(`${mock().url}#/overview?project=shop`);
    await page.reload();
    await page.getByRole('button', { name: 'Saved views' }).click();
    await picture(page, 'saved-views', false);
    await page.getByRole('link', { name: 'Phones' }).click();
    assert.equal(new URL(page.url()).hash, '#/performance?project=shop&range=7d&device=mobile&vital=INP');
    await page.getByRole('button', { name: 'Saved views' }).click();
    await page.getByRole('button', { name: 'Delete Phones' }).click();
    assert.equal(await page.getByRole('link', { name: 'Phones' }).count(), 0);
    await page.clean();
  });
});

describe('when things are not well', () => {
  it('a project without events waits, and switches with the first one', async () => {
    const server = await startMock();
    const page = await open('#/overview?project=blog', { server });
    await page.waitForSelector('.welcome');
    const [{ dsn }] = (await (await fetch(`${server.url}query/projects`)).json()).projects.filter(({ id }) => id === 'blog');
    assert.equal((await page.locator('.snippet code').textContent()), `<script src="${server.url}sdk/monitor.js" data-dsn="${dsn}"></script>`);
    await page.getByRole('button', { name: 'npm' }).click();
    const bundled = await text(page, '.snippet');
    assert.ok(bundled.includes("from '@monitor-kit/browser'") && bundled.includes('npm install ../monitor-kit/sdk-ts'), bundled);
    server.add('blog', new Generator(2).session('blog', Date.now() - 60_000).filter(({ time }) => time < Date.now()));
    await page.waitForSelector('.tile-value', { timeout: 12_000 });
    await page.clean();
    await server.close();
  });

  it('a token is asked for, refused, taken, kept for the tab, and given back', async () => {
    const server = await startMock({ token: 'secret' });
    const page = await open('#/overview?project=shop&range=1h', { server, allow: (message) => message.includes('401') });
    await page.getByLabel('Access token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=This token was refused');
    await picture(page, 'token', false);
    await page.getByLabel('Access token').fill('secret');
    await page.keyboard.press('Enter');
    await loaded(page);
    await page.reload();
    await loaded(page);
    await page.goto(`${server.url}#/live?project=shop`);
    await page.waitForSelector('.live-live');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForSelector('.token-form');
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.clean();
    await server.close();
  });

  it('a user signs in with a password, and out', async () => {
    const server = await startMock({ password: 'secret' });
    const page = await open('#/overview?project=shop&range=1h', { server, allow: (message) => message.includes('401') });
    await page.getByLabel('User').fill('anna');
    await page.getByLabel('Password').fill('wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=name, password or token are not right');
    await page.getByLabel('Password').fill('secret');
    await page.keyboard.press('Enter');
    await loaded(page);
    assert.ok(await page.getByText('anna').isVisible());
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForSelector('.token-form');
    await page.reload();
    await page.waitForSelector('.token-form');
    await page.clean();
    await server.close();
  });

  it('a failing store is said, with a way out', async () => {
    const server = await startMock();
    const page = await open('#/overview?project=shop&range=1h', { server, allow: (message) => message.includes('503') });
    await loaded(page);
    server.faults.next.push(...Array.from({ length: 8 }, () => ({ status: 503, code: 'unavailable', message: 'the store does not answer' })));
    await page.getByRole('button', { name: '7d', exact: true }).click();
    await page.waitForSelector('[role=alert]');
    assert.match(await text(page, '[role=alert]'), /the store does not answer/);
    await picture(page, 'failing', false);
    server.faults.next.length = 0;
    await page.getByRole('button', { name: 'Try again' }).first().click();
    await page.waitForFunction(() => !document.querySelector('[role=alert]'));
    await page.clean();
    await server.close();
  });

  it('an unknown project is said', async () => {
    const page = await open('#/overview?project=nobody', { allow: (message) => message.includes('404') });
    await page.waitForSelector('text=no such project');
    await page.clean();
  });

  it('filters that nothing meets leave an honest page', async () => {
    const page = await open('#/performance?project=shop&range=1h&release=never');
    await loaded(page);
    assert.ok((await page.locator('main').innerText()).includes('Nothing in this range'));
    await page.clean();
  });
});

describe('hostile events', () => {
  it('stay text on every page, and link nowhere', async () => {
    const fingerprint = encodeURIComponent(mock().stores.hostile.find(({ kind }) => kind === 'error').fingerprint);
    for (const [name, see] of [
      ['overview', '.chart-canvas canvas'], ['performance', '.routes tbody tr'], ['errors', 'main .table tbody tr'], [`errors/${fingerprint}`, '.crumb-row'], ['requests', 'main .table tbody tr'],
      ['sessions', 'main .table tbody tr'], ['behaviour', 'main .loaded'], ['events', '.event-head'],
    ]) {
      const page = await open(`#/${name}?project=hostile&range=1h`);
      await page.waitForSelector(see);
      await page.waitForFunction(() => !document.querySelector('.skeleton'));
      for (const field of ['Release', 'Environment', 'Browser']) {
        await page.getByRole('button', { name: field, exact: true }).first().click();
        await page.waitForSelector('.option');
        await page.keyboard.press('Escape');
      }
      if (name === 'overview') await page.locator('.chart-canvas canvas').first().hover({ position: { x: 200, y: 60 } });
      if (name === 'events') await page.locator('.event-head').first().click();
      // Opening a node builds the nodes below it, which are opened in turn.
      for (let round = 0; round < 5; round++) await page.evaluate(() => { for (const node of document.querySelectorAll('details:not([open]) > summary')) node.click(); });
      if (name !== 'overview' && name !== 'behaviour') {
        const shown = await page.locator('#main').innerText();
        assert.ok(ATTACKS.some((attack) => shown.includes(attack)), `${name} shows the text as it is`);
      }
      const links = await page.evaluate(() => [...document.querySelectorAll('a[href]')].map((link) => [new URL(link.href).protocol, link.target, link.rel]));
      for (const [protocol, target, rel] of links) {
        assert.ok(['http:', 'https:'].includes(protocol), protocol);
        if (target) assert.match(rel, /noopener/);
      }
      assert.equal(await page.locator('#app img, #app script, #app iframe, #app svg[onload]').count(), 0);
      await page.clean();
    }
  });
});

describe('the viewer', () => {
  it('reaches everything with the keyboard and sees where they are', async () => {
    const page = await open('#/performance?project=shop&range=24h');
    await page.waitForSelector('.routes tbody tr');
    await loaded(page);
    const seen = new Set();
    for (let index = 0; index < 110; index++) {
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
    for (const name of ['Skip to content', 'Project', 'Overview', '24h', 'Release', '/cart']) assert.ok(seen.has(name), `${name} in ${[...seen].join(', ')}`);
    await page.locator('.routes tbody th button').first().focus();
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), await page.locator('.routes tbody th').nth(1).innerText());
    await page.clean();
  });

  it('goes about with shortcuts, but not while typing', async () => {
    const page = await open('#/overview?project=shop&range=24h&device=mobile');
    await loaded(page);
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open]');
    await picture(page, 'shortcuts', false);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('dialog[open]'));
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.waitForSelector('.routes tbody tr');
    assert.match(page.url(), /#\/performance\?.*device=mobile/);
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Route');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.option input');
    await page.getByRole('button', { name: 'Attribute or tag' }).click();
    await page.getByLabel('Name', { exact: true }).pressSequentially('gp?/');
    assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'gp?/');
    await page.clean();
  });

  it('reads it in their language and keeps the choice', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    await loaded(page);
    await page.getByLabel('Language').selectOption('zh');
    await page.waitForSelector('text=页面浏览量');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh');
    await page.reload();
    await page.waitForSelector('text=页面浏览量');
    await page.getByLabel('语言').selectOption('en');
    await page.waitForSelector('text=Page views');
    await page.clean();
  });

  it('finds the pages in a drawer on a phone', async () => {
    const page = await open('#/overview?project=shop&range=24h&device=mobile', { width: 390, height: 844 });
    await loaded(page);
    assert.equal(await page.locator('.nav').isVisible(), false);
    await page.getByRole('button', { name: 'Menu' }).click();
    await picture(page, 'drawer', false);
    await page.locator('.nav').getByRole('link', { name: 'Performance' }).click();
    await page.waitForSelector('.routes tbody tr');
    assert.equal(await page.locator('.sidebar-open').count(), 0);
    await page.getByRole('button', { name: 'Filters (1)' }).click();
    assert.ok(await page.getByRole('button', { name: 'Device: mobile' }).isVisible());
    await picture(page, 'phone-filters', false);
    await page.clean();
  });

  it('chooses the theme', async () => {
    const page = await open('#/overview?project=shop&range=24h');
    // It is drawn a moment after the click.
    const theme = (name) => page.waitForFunction((wanted) => document.documentElement.dataset.theme === wanted, name);
    await theme('light');
    await page.getByRole('button', { name: /^Theme: As the system/ }).click();
    await page.getByRole('button', { name: /^Theme: Light/ }).click();
    await theme('dark');
    await page.getByRole('button', { name: /^Theme: Dark/ }).click();
    await theme('light');
    await page.clean();
  });
});
