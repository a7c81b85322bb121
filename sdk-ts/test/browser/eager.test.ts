/**
 * What the build puts in parentheses, so that engines compile it when they read the script, is what runs while `init` does: no less,
 * and nothing that waits for its moment.
 */
import {build} from 'esbuild';
import {chromium, type Browser} from 'playwright-core';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {eagerInEsbuild} from '../../scripts/eager.mjs';
import {executablePath, flags} from './desktop.js';

/** UTF-16 units of a function that is worth its parentheses. */
const WORTHY = 250;

let browser: Browser;
beforeAll(async () => {
  browser = await chromium.launch({executablePath, args: flags});
});
afterAll(() => browser?.close());

test('what init calls at once is in parentheses, and nothing else is', async () => {
  const {outputFiles} = await build({
    stdin: {contents: `import {init} from '../../src/index.js'; init({dsn: 'https://key@monitor.example/shop'});`, resolveDir: import.meta.dirname},
    bundle: true, write: false, format: 'iife', target: 'es2020', logLevel: 'silent', plugins: [eagerInEsbuild],
  });
  const source = outputFiles[0]!.text;
  const page = await browser.newPage();
  await page.route('**', (route) => route.fulfill({contentType: 'text/html', body: '<!doctype html><title>shop</title>'}));
  await page.goto('https://shop.example/');
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Profiler.enable');
  await devtools.send('Profiler.startPreciseCoverage', {callCount: true});
  // What is put off does not run.
  await page.evaluate(() => Object.assign(globalThis, {setTimeout: () => 0}));
  await page.addScriptTag({content: `${source}\n//# sourceURL=sdk`});
  const {result} = await devtools.send('Profiler.takePreciseCoverage');
  const {functions} = result.find(({url}) => url === 'sdk')!;
  await page.close();

  const named = functions.flatMap(({functionName: name, ranges: [whole]}) => {
    const {startOffset, endOffset, count} = whole!;
    const hinted = source[startOffset - 1] === '(' && source[endOffset] === ')';
    return name ? [{name, worthy: endOffset - startOffset > WORTHY, called: count > 0, hinted}] : [];
  });
  const hinted = new Set(named.filter(({hinted}) => hinted).map(({name}) => name));
  expect([...hinted]).toEqual(expect.arrayContaining(['init', 'createClient', 'guard', 'setup', 'requests']));
  expect(named.filter(({hinted, called}) => hinted && !called)).toEqual([]);
  expect(named.filter(({name, worthy, called}) => worthy && called && !hinted.has(name))).toEqual([]);
});
