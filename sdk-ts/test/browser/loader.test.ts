import {readFile} from 'node:fs/promises';
import {transform} from 'esbuild';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {startScene, type Route, type Scene, type Visit} from './receiver.js';

let scene: Scene;
let loader: string;
beforeAll(async () => {
  scene = await startScene();
  const source = await readFile(new URL('../../src/loader.ts', import.meta.url), 'utf8');
  const {code} = await transform(source, {loader: 'ts', minify: true, target: 'es2015'});
  loader = code.trim().replace(/^export /, '!').replace(/;?$/, '');
});
afterAll(() => scene?.stop());

let visits = 0;

interface LoaderPage {
  /** Options of the snippet, as JavaScript. */
  options?: string;
  /** What the page does right after the snippet. */
  early?: string;
  /** How the script is answered; after a second by default. */
  script?: (body: string) => Route;
  csp?: string;
  /** An earlier visit of the same visitor, whose events are counted together with those of this one. */
  after?: Visit;
}

/** A page with the snippet in its head. Its scripts have a nonce, for policies that ask for one. */
async function visit({options = '', early = '', script = (body) => ({body, delay: 1_000}), csp, after}: LoaderPage): Promise<Visit> {
  const release = after?.release ?? `loader-${Date.now().toString(36)}-${visits + 1}`;
  visits++;
  const src = `/sdk/monitor-${visits}.js`;
  const kit = await scene.bundle("import * as kit from '../../src/script.js';\nglobalThis.MonitorKit = kit;", release);
  scene.routes[src] = script(kit);
  const snippet = `${loader}({
    src: '${src}', dsn: '${scene.dsn}', release: '${release}',
    integrations: (all) => all.filter(({name}) => ['errors', 'resourceErrors'].includes(name)), ${options}
  });`;
  return scene.visit({
    release,
    ...(after && {context: after.context}),
    head: `<script nonce="abc">${snippet}</script><script nonce="abc">${early}</script>`,
    headers: csp ? {'content-security-policy': `${csp}; connect-src *`} : {},
  });
}

const arrived = (visit: Visit): Promise<unknown> => visit.page.waitForFunction('MonitorKit.client');

test('what happens before the script arrives is stored once, in its order, with the time when it happened', async () => {
  const page = await visit({
    early: `
      globalThis.times = {};
      const now = (what) => (times[what] = Date.now());
      now('caught');
      MonitorKit.captureException(new RangeError('caught'));
      now('first');
      MonitorKit.track('first', {items: 2}, 9.5);
      MonitorKit.setUser({id: 42});
      Promise.reject(new TypeError('rejected'));
      setTimeout(() => {
        now('thrown');
        setTimeout(() => MonitorKit.track('second'), 50);
        throw new TypeError('thrown');
      }, 100);
      setTimeout(() => {
        const image = new Image();
        image.onerror = () => now('image');
        image.src = '/no-such-image.png';
        document.body.append(image);
      }, 300);`,
  });
  await arrived(page);
  const times = await page.page.evaluate<Record<string, number>>('({...times, arrived: Date.now()})');
  await Promise.all([page.page.waitForEvent('pageerror'), page.page.evaluate("setTimeout(() => { throw new TypeError('later'); })")]);
  await page.leave();

  // Two of them may have the same time.
  const events = (await scene.events(page, {count: 7})).sort((one, other) => one.seq - other.seq);
  expect(events.map(({kind, name, message, user}) => [kind, name, message, user])).toEqual([
    ['error', 'RangeError', 'caught', ''],
    ['track', 'first', '', ''],
    ['error', 'TypeError', 'rejected', '42'],
    ['error', 'TypeError', 'thrown', '42'],
    ['track', 'second', '', '42'],
    ['error', 'ResourceError', expect.stringContaining('/no-such-image.png'), '42'],
    ['error', 'TypeError', 'later', '42'],
  ]);
  expect(events.map(({seq}) => seq)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(events[1]).toMatchObject({value: 9.5, data: {items: 2}});
  expect(events.map(({data}) => [data.mechanism, data.handled])).toEqual([
    ['manual', true],
    [undefined, undefined],
    ['onunhandledrejection', false],
    ['onerror', false],
    [undefined, undefined],
    ['resource', false],
    ['onerror', false],
  ]);
  expect(events[3]!.data.stack).toContain('TypeError: thrown');

  const late = (index: number, what: string): number => Math.abs(events[index]!.time - times[what]!);
  expect(late(0, 'caught')).toBeLessThan(20);
  expect(late(1, 'first')).toBeLessThan(20);
  expect(late(3, 'thrown')).toBeLessThan(20);
  expect(events[4]!.time - times['thrown']!).toBeGreaterThanOrEqual(49);
  expect(late(5, 'image')).toBeLessThan(20);
  // All of it long before the SDK was there.
  expect(times['arrived']! - events[5]!.time).toBeGreaterThan(300);
  expect(page.problems).toEqual(['TypeError: rejected', 'TypeError: thrown', 'TypeError: later']);
});

test('what is captured on leaving is kept when nothing reaches the receiver', async () => {
  const options = "integrations: (all) => all.filter(({name}) => ['durableOutbox', 'timeOnPage'].includes(name))";
  const first = await visit({options});
  await arrived(first);
  await first.page.waitForTimeout(1_500);
  scene.faults.answer(503);
  await first.leave();
  scene.faults.heal();
  const next = await visit({options, after: first});
  await arrived(next);
  expect(await scene.events(first, {count: 1})).toMatchObject([{kind: 'time_on_page'}]);
});

test('an init of the page before the script arrives is the one that counts', async () => {
  const release = `init-${Date.now().toString(36)}`;
  const page = await visit({
    options: "dsn: ''",
    early: `
      MonitorKit.track('early');
      MonitorKit.init({dsn: '${scene.dsn}', release: '${release}', integrations: [], tags: {shop: 'shoes'}});`,
  });
  await arrived(page);
  await page.leave();
  expect(await scene.events({release})).toMatchObject([{kind: 'track', name: 'early', tags: {shop: 'shoes'}}]);
  expect(page.problems).toEqual([]);
});

test.each<[what: string, script: LoaderPage['script']]>([
  ['does not exist', () => ({status: 404})],
  ['is refused', () => (request) => void request.socket.destroy()],
  ['is no script', () => ({body: '<!doctype html>', headers: {'content-type': 'text/html', 'x-content-type-options': 'nosniff'}})],
])('the page works when the script %s', async (_what, script) => {
  const page = await visit({
    script: script!,
    early: `
      for (let i = 0; i < 150; i++) MonitorKit.track('early', {i});
      MonitorKit.setUser(null);
      document.addEventListener('DOMContentLoaded', () => (document.title = 'works'));`,
  });
  expect(await page.page.title()).toBe('works');
  expect(await page.page.evaluate('MonitorKit.q.length')).toBe(100);
  expect(page.problems).toEqual([]);
  await page.page.close();
});

test.each<[csp: string, loaded: boolean]>([
  ["script-src 'nonce-abc'", true],
  ["script-src 'nonce-abc' 'strict-dynamic'", true],
  ["script-src 'nonce-abc'; require-trusted-types-for 'script'", true],
  ["script-src 'nonce-abc'; require-trusted-types-for 'script'; trusted-types monitor-kit", true],
  ["script-src 'nonce-abc'; require-trusted-types-for 'script'; trusted-types 'none'", false],
])('under the policy %s the script is loaded: %s; the page works', async (csp, loaded) => {
  const page = await visit({csp, early: "MonitorKit.track('early');", script: (body) => ({body})});
  await page.page.waitForLoadState('load');
  expect(await page.page.evaluate('!!MonitorKit.client')).toBe(loaded);
  expect(page.problems).toEqual([]);
  await page.leave();
  if (loaded) expect(await scene.events(page, {count: 1, settle: 0})).toMatchObject([{kind: 'track', name: 'early'}]);
});
