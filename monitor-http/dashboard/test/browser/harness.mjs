// The built dashboard in a real Chromium, against the mock service and under the service's content security policy.
// Needs dist/ (`npm run test:browser` builds it). The tests leave pictures of every page in test-output/.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { startMock as start } from '../../mock/server.mjs';

export const PICTURES = new URL('../../test-output/', import.meta.url).pathname;
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** How each page is looked at. */
export const LOOKS = {
  light: {}, dark: { scheme: 'dark' }, phone: { width: 390, height: 844 }, 'phone-dark': { width: 390, height: 844, scheme: 'dark' }, chinese: { language: 'zh-CN' },
};

/** A browser and a mock for the tests of one file. `mock()` is the one that the tests share; `startMock` starts others, which are closed at the end. */
export function setup() {
  const servers = [];
  let browser;
  let profile;
  let shared;

  async function startMock(options) {
    const server = await start(options);
    // Also those that a failing test leaves behind are closed: the run must not hang.
    servers.push(server);
    return server;
  }

  before(async () => {
    await mkdir(PICTURES, { recursive: true });
    profile = await mkdtemp(join(tmpdir(), 'dashboard-test-'));
    shared = await startMock({ mount: '/deep/path/monitor/' });
    browser = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS, viewport: { width: 1360, height: 900 }, locale: 'en-US', timezoneId: 'Europe/Berlin', acceptDownloads: true,
    });
  });

  after(async () => {
    await browser?.close();
    await Promise.all(servers.map((server) => server.close()));
    await rm(profile, { recursive: true, force: true });
  });

  /** A page that writes down everything that went wrong on it; `clean` says that nothing did. */
  async function open(hash, { server = shared, width = 1360, height = 900, scheme = 'light', language = 'en-US', allow = () => false } = {}) {
    const page = await browser.newPage();
    const problems = [];
    page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !allow(message.text())) problems.push(`console: ${message.text()}`); });
    page.on('pageerror', (error) => problems.push(`exception: ${error.stack}`));
    page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
    page.on('request', (request) => { if (!request.url().startsWith(server.url) && !/^(data|blob):/.test(request.url())) problems.push(`foreign request: ${request.url()}`); });
    await page.addInitScript((name) => {
      Object.defineProperty(navigator, 'language', { get: () => name });
      window.__violations = [];
      document.addEventListener('securitypolicyviolation', (event) => window.__violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
    }, language);
    await page.routeWebSocket(/\/live\/ws$/, feed);
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(server.url + hash);
    page.clean = async () => {
      assert.deepEqual(await page.evaluate(() => window.__violations), [], 'violations of the content security policy');
      assert.equal(await page.evaluate(() => window.__xss), undefined, 'a text from an event ran as code');
      assert.deepEqual(await namelessControls(page), [], 'controls without a name');
      assert.deepEqual(problems, []);
      await page.close();
    };
    return page;
  }

  return { mock: () => shared, startMock, open };
}

/** The figures of `GET /live/ws`: what comes in is the same every second. */
function feed(socket) {
  let timer;
  socket.onMessage((text) => {
    const { project } = JSON.parse(text).subscribe;
    socket.send(JSON.stringify({ type: 'subscribed', project }));
    const tell = () => socket.send(JSON.stringify({ type: 'figures', time: Date.now(), counts: { vital: 12, click: 5, error: 1 }, vitals: { LCP: { count: 340, p50: 1840.5 } } }));
    tell();
    clearInterval(timer);
    // A page that is closed does not always say so: nothing may wait for it.
    timer = setInterval(tell, 1000).unref();
  });
  socket.onClose(() => clearInterval(timer));
}

/** Buttons, links and fields that a screen reader could not name. */
function namelessControls(page) {
  return page.evaluate(() => [...document.querySelectorAll('button, a[href], input, select, textarea, [role="region"], [role="img"], summary')]
    .filter((element) => !(element.getAttribute('aria-label') || element.textContent?.trim() || element.labels?.length || element.getAttribute('title')))
    .map((element) => element.outerHTML.slice(0, 120)));
}

/** Until the answers are there and everything is drawn. */
export const loaded = (page) => page.waitForFunction(() => document.querySelector('.loaded:not(.stale)') && !document.querySelector('.skeleton'));

export const text = (page, selector) => page.locator(selector).first().innerText();

export async function noSidewaysScroll(page) {
  const [inner, content] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
  assert.ok(content <= inner, `the page is ${content} px wide on a screen of ${inner} px`);
}

/** What is shown of the elements is all of them: nothing stands over another of them, nor is any cut off. */
export async function apart(elements) {
  const boxes = await elements.evaluateAll((all) => all.filter((element) => element.getClientRects().length > 0).map((element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return { said: element.textContent, left, right, top, bottom, isCut: element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX !== 'visible' };
  }));
  assert.ok(boxes.length > 0, 'there is something to look at');
  for (const [index, one] of boxes.entries()) {
    assert.ok(!one.isCut, `${one.said} is cut off`);
    for (const other of boxes.slice(index + 1)) {
      assert.ok(one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top, `${one.said} and ${other.said} are written over each other`);
    }
  }
  return boxes;
}

/** On a phone nothing is wider than the screen, nor is any panel that a button opens. */
export async function fitsPhone(page) {
  await noSidewaysScroll(page);
  for (const button of await page.locator('.popover > button:visible').all()) {
    await button.click();
    await noSidewaysScroll(page);
    const panel = await page.locator('.popover-panel').boundingBox();
    assert.ok(panel.x >= 0 && panel.x + panel.width <= 390, 'the panel is on the screen');
    await page.keyboard.press('Escape');
  }
}

export const picture = (page, name, fullPage = true) => page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage });
