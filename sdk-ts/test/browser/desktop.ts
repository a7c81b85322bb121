/**
 * Chromium as people have it. Playwright keeps each page of its own contexts visible and focused, and the browser prerenders no
 * page that Playwright's debugger follows. So this one is started without Playwright: its tabs are hidden and shown by the
 * browser itself, with timers throttled in the background, and nothing is attached to what it prerenders.
 */
import {spawn} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium, type Browser, type BrowserContext, type Page} from 'playwright-core';

export const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** One process with one window and a profile of its own: one visitor. */
export interface Desktop {
  /** Attaches Playwright to the window. The browser prerenders nothing from then on. */
  attach(): Promise<BrowserContext>;
  /** Opens a tab that no debugger follows. Returns how to close it, as its user would. */
  open(url: string): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

export async function startDesktop(): Promise<Desktop> {
  const profile = await mkdtemp(join(tmpdir(), 'monitor-desktop-'));
  const child = spawn(executablePath, [...flags, '--disable-extensions', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'], {stdio: ['ignore', 'ignore', 'pipe']});
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const endpoint = await new Promise<string>((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk).slice(-10_000);
      const [, found] = /listening on ws:\/\/([^/\s]+)/.exec(said) ?? [];
      if (found) resolve(`http://${found}`);
    });
    child.once('error', reject);
    void exited.then(() => reject(new Error(`chromium ended: ${said}`)));
  });
  /** The part of the debugger that looks at the browser from outside. */
  const ask = async (method: string, path: string): Promise<any> => {
    const answered = await fetch(endpoint + path, {method});
    if (!answered.ok) throw new Error(`chromium answered ${answered.status} to ${path}`);
    return answered;
  };

  let browser: Browser | undefined;
  return {
    async attach() {
      browser ??= await chromium.connectOverCDP({endpointURL: endpoint, noDefaults: true});
      return browser.contexts()[0]!;
    },
    async open(url) {
      const {id} = await (await ask('PUT', `/json/new?${url}`)).json();
      return async () => void (await ask('GET', `/json/close/${id}`));
    },
    async stop() {
      await browser?.close();
      child.kill();
      await exited;
      // Its last processes may still write for a moment.
      await rm(profile, {recursive: true, force: true, maxRetries: 10, retryDelay: 100});
    },
  };
}

/** Opens a tab behind the one that is in front, as a click with the middle button does. */
export async function openBehind(context: BrowserContext): Promise<Page> {
  const session = await context.browser()!.newBrowserCDPSession();
  const opened = context.waitForEvent('page');
  await session.send('Target.createTarget', {url: 'about:blank', background: true});
  await session.detach();
  return opened;
}

/** Hides a page of `Scene.desktop` behind another tab. */
export async function hide(page: Page): Promise<void> {
  await page.context().newPage();
  await becomes(page, 'hidden');
}

/** Brings it to the front again. */
export async function show(page: Page): Promise<void> {
  await page.bringToFront();
  await becomes(page, 'visible');
}

async function becomes(page: Page, state: DocumentVisibilityState): Promise<void> {
  for (const end = Date.now() + 10_000; (await page.evaluate(() => document.visibilityState)) !== state; ) {
    if (Date.now() > end) throw new Error(`the page did not become ${state}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
