import type {Page} from 'playwright-core';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {hide, show} from './desktop.js';
import {startScene, type Scene, type StoredEvent} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
  // Times itself, under a name that can be found again: `busy(120)`.
  scene.routes['/busy.js'] = {body: 'function busy(ms) { const end = performance.now() + ms; while (performance.now() < end); }'};
});
afterAll(() => scene?.stop());

/** A page script with these integrations. */
const watching = (...integrations: string[]): string => `
  import {createClient} from '../../src/client.js';
  import {attribution} from '../../src/attribution.js';
  import {pageViews} from '../../src/integrations/pageViews.js';
  import {webVitals} from '../../src/integrations/webVitals.js';
  import {navigationTiming} from '../../src/integrations/navigationTiming.js';
  import {longTasks} from '../../src/integrations/longTasks.js';
  import {blockingTime} from '../../src/integrations/blockingTime.js';
  import {resources} from '../../src/integrations/resources.js';
  Object.assign(globalThis, {unused: [attribution, pageViews, webVitals, navigationTiming, longTasks, blockingTime, resources]});
  globalThis.client = createClient({dsn: MONITOR_DSN, release: RELEASE, integrations: [${integrations.join(', ')}]});`;
const vitals = watching('pageViews()', 'webVitals({attribution})');

const busy = '<script src="/busy.js"></script>';
const named = (events: StoredEvent[], name: string): StoredEvent[] => events.filter((event) => event.name === name);

/** Runs in the page: keeps every entry that the browser tells of; its own buffer has no events below 104 ms. */
function record(): void {
  const seen: PerformanceEntry[] = ((globalThis as any).seen = []);
  const observer = new PerformanceObserver((list) => seen.push(...list.getEntries()));
  for (const type of PerformanceObserver.supportedEntryTypes) observer.observe({type, buffered: true, durationThreshold: 16} as PerformanceObserverInit);
}
const recorded = (page: Page): Promise<unknown> => page.addInitScript(record);

const entries = async (page: {evaluate(run: () => unknown): Promise<any>}, type: string): Promise<any[]> => {
  const seen = await page.evaluate(() => (globalThis as any).seen.map((entry: any) => ({...entry.toJSON(), hadRecentInput: entry.hadRecentInput, interactionId: entry.interactionId})));
  return seen.filter(({entryType}: PerformanceEntry) => entryType === type);
};

/** Waits until the browser has told of a click: when it has painted what the click changed. */
const interacted = (page: Page): Promise<unknown> => page.waitForFunction(() => (globalThis as any).seen.some(({name, interactionId}: PerformanceEventTiming) => name === 'click' && interactionId), undefined, {polling: 50, timeout: 10_000});

test('the vitals of a load are those of the browser, to a millisecond', async () => {
  // Chromium takes an image of few bytes for a placeholder, which is no content.
  const circles = Array.from({length: 100}, (_, i) => `<circle cx="${i * 6}" cy="${(i * 37) % 400}" r="${i}" fill="#${100 + i}"/>`).join('');
  scene.routes['/hero.svg'] = {body: `<svg xmlns="http://www.w3.org/2000/svg" width="600" height="400">${circles}</svg>`, delay: 200};
  const visit = await scene.visit({
    script: vitals,
    prepare: recorded,
    head: busy,
    body: `<button id="buy" onclick="busy(80); this.textContent += 1">Buy</button><p>Shop</p><img id="hero" src="/hero.svg?sig=1" width="600" height="400"><div id="late"></div><p id="below">below</p>`,
  });
  await visit.page.waitForTimeout(300);
  await visit.page.evaluate(() => { document.getElementById('late')!.style.height = '100px'; });
  await visit.page.waitForTimeout(300);
  await visit.page.click('#buy');
  await interacted(visit.page);
  await visit.page.waitForTimeout(100);
  const all = (type: string): Promise<any[]> => entries(visit.page, type);
  const [paint, lcp, shifts, events, [navigation]] = [await all('paint'), await all('largest-contentful-paint'), await all('layout-shift'), await all('event'), await all('navigation')];
  await visit.leave();

  const stored = await scene.events(visit, {count: 7});
  const vital = (name: string): StoredEvent => {
    const found = named(stored, name);
    expect(found, `${name} of ${stored.map(({name}) => name)} ${visit.problems}`).toHaveLength(1);
    return found[0]!;
  };
  expect(vital('FP').value).toBeCloseTo(paint.find(({name}) => name === 'first-paint').startTime, 0);
  expect(vital('FCP').value).toBeCloseTo(paint.find(({name}) => name === 'first-contentful-paint').startTime, 0);
  expect(vital('LCP').value).toBeCloseTo(lcp.at(-1).startTime, 0);
  expect(vital('TTFB').value).toBeCloseTo(navigation.responseStart, 0);
  expect(vital('CLS').value).toBeCloseTo(shifts.reduce((sum, {value, hadRecentInput}) => sum + (hadRecentInput ? 0 : value), 0), 6);
  expect(vital('CLS').value).toBeGreaterThan(0);
  expect(vital('INP').value).toBe(Math.max(...events.filter(({interactionId}) => interactionId).map(({duration}) => duration)));
  expect(stored).toHaveLength(7);

  expect(vital('FP').data).toMatchObject({visibility: 'visible', delta: vital('FP').value});
  expect(vital('LCP')).toMatchObject({rating: 'good', target: '#hero', attributes: {navigation_type: 'navigate'}});
  const {attribution: parts} = vital('LCP').data;
  expect(parts).toMatchObject({url: `${scene.origin}/hero.svg`});
  expect(parts.load_duration).toBeGreaterThan(150);
  const sum = parts.time_to_first_byte + parts.load_delay + parts.load_duration + parts.render_delay;
  expect(Math.abs(sum - vital('LCP').value!)).toBeLessThan(1);
  expect(vital('CLS')).toMatchObject({data: {attribution: {largest_shift: vital('CLS').value}}});
  expect(vital('CLS').data.attribution.time).toBeCloseTo(shifts[0].startTime, 0);
  expect(vital('INP')).toMatchObject({target: '#buy', data: {visibility: 'visible', attribution: {event: expect.stringMatching(/^(pointer|mouse|click)/)}}});
  const {input_delay, processing_duration, presentation_delay, longest_script} = vital('INP').data.attribution;
  expect(processing_duration).toBeGreaterThanOrEqual(80);
  expect(Math.abs(input_delay + processing_duration + presentation_delay - vital('INP').value!)).toBeLessThan(1);
  expect(longest_script).toMatchObject({url: visit.url, function: 'onclick'});
  expect(longest_script.duration).toBeGreaterThanOrEqual(80);
  expect(visit.problems).toEqual([]);
});

test('an app that goes on to its login at once has the load, and what is measured of it, on the page that was loaded', async () => {
  const visit = await scene.visit({
    script: "import {init} from '../../src/init.js';\ninit({dsn: MONITOR_DSN, release: RELEASE});\nhistory.replaceState(null, '', '/login');",
    path: '/members',
    body: '<p>Members</p>',
  });
  await visit.page.waitForTimeout(500);
  await visit.leave();
  const events = await scene.events(visit, {count: 7});
  const of = (kind: string): unknown[] => events.filter((event) => event.kind === kind).map(({name, route, attributes}) => [name, route, attributes['navigation_type']]);
  expect(of('page_view')).toEqual([['page_view', '/members', 'load'], ['page_view', '/login', 'replace']]);
  expect(of('navigation')).toEqual([['navigation', '/members', 'navigate']]);
  expect(of('vital')).toEqual(expect.arrayContaining(['TTFB', 'FCP', 'LCP'].map((name) => [name, '/members', 'navigate'])));
  expect(visit.problems).toEqual([]);
});

test('a page that is loaded in a tab behind has neither paints nor CLS, also when it is shown later', async () => {
  const visit = await scene.visit({
    context: await scene.desktop(),
    behind: true,
    script: watching('pageViews()', 'webVitals({attribution})', 'navigationTiming()', 'blockingTime()'),
    prepare: recorded,
    head: busy,
    body: '<div id="late"></div><h1>Shop</h1><button id="buy" onclick="busy(60); this.textContent += 1">Buy</button>',
  });
  await visit.page.waitForTimeout(300);
  await show(visit.page);
  await visit.page.waitForTimeout(700);
  await visit.page.evaluate(() => { document.getElementById('late')!.style.height = '100px'; });
  await visit.page.waitForTimeout(200);
  await visit.page.click('#buy');
  await interacted(visit.page);
  for (const type of ['paint', 'largest-contentful-paint', 'layout-shift']) expect(await entries(visit.page, type), type).not.toEqual([]);
  await visit.leave();
  const stored = await scene.events(visit, {count: 4});
  expect(stored.map(({name}) => name).sort()).toEqual(['INP', 'TTFB', 'navigation', 'page_view']);
  for (const {name, data} of stored) expect(data.visibility, name).toBe(name === 'page_view' ? undefined : 'hidden');
  expect(visit.problems).toEqual([]);
});

test('a tab that is hidden has sent its vitals while it is hidden, and a larger paint after it is none of them', async () => {
  const visit = await scene.visit({context: await scene.desktop(), script: vitals, prepare: recorded, body: '<p id="small">Shop</p><p id="late"></p>'});
  await visit.page.waitForTimeout(500);
  const [first, ...others] = await entries(visit.page, 'largest-contentful-paint');
  await hide(visit.page);
  const sent = await scene.events(visit, {count: 6});
  expect(await visit.page.evaluate(() => document.visibilityState)).toBe('hidden');
  await show(visit.page);
  await visit.page.evaluate(() => { document.getElementById('late')!.textContent = 'much text '.repeat(200); });
  await visit.page.waitForTimeout(500);
  expect(await entries(visit.page, 'largest-contentful-paint')).toHaveLength(2);
  await visit.leave();

  expect(others).toEqual([]);
  expect(sent.map(({name}) => name).sort()).toEqual(['CLS', 'FCP', 'FP', 'LCP', 'TTFB', 'page_view']);
  expect(named(sent, 'LCP')[0]).toMatchObject({target: '#small', value: expect.closeTo(first.startTime, 0), data: {visibility: 'visible'}});
  expect(await scene.events(visit, {count: 7, timeout: 1_500})).toEqual(sent);
});

test('CLS and INP that grow after the page was shown again are sent again, with the same id', async () => {
  const visit = await scene.visit({context: await scene.desktop(), script: vitals, prepare: recorded, head: busy, body: '<div id="late"></div><h1>Shop</h1><button id="buy" onclick="busy(+this.dataset.ms); this.textContent += 1" data-ms="60">Buy</button>'});
  await visit.page.waitForTimeout(200);
  await visit.page.click('#buy');
  await visit.page.waitForTimeout(700);
  await visit.page.evaluate(() => { document.getElementById('late')!.style.height = '100px'; });
  await visit.page.waitForTimeout(200);
  await hide(visit.page);
  await show(visit.page);
  await visit.page.evaluate(() => { document.getElementById('buy')!.dataset['ms'] = '150'; });
  await visit.page.click('#buy');
  await visit.page.waitForTimeout(1_200);
  await visit.page.evaluate(() => { document.getElementById('late')!.style.height = '400px'; });
  await visit.page.waitForTimeout(200);
  const shifts = await entries(visit.page, 'layout-shift');
  // Moving the pointer is none, however long it took.
  const interactions = (await entries(visit.page, 'event')).filter(({interactionId}) => interactionId);
  await visit.leave();

  const stored = await scene.events(visit, {count: 9});
  for (const [name, last] of [
    ['CLS', Math.max(...shifts.map(({value}) => value))],
    ['INP', Math.max(...interactions.map(({duration}) => duration))],
  ] as const) {
    const [first, second, ...more] = named(stored, name) as [StoredEvent, StoredEvent];
    expect(more).toEqual([]);
    expect(second.data.id).toBe(first.data.id);
    expect(first.data.delta).toBe(first.value);
    expect(second.data.delta).toBeCloseTo(second.value! - first.value!, 9);
    expect(second.value).toBeCloseTo(last, 6);
    expect([first.data.visibility, second.data.visibility]).toEqual(['visible', 'hidden']);
  }
  for (const name of ['FP', 'FCP', 'LCP', 'TTFB']) expect(named(stored, name), name).toHaveLength(1);
});

test('interactions without work to do are an INP too', async () => {
  const visit = await scene.visit({script: vitals, prepare: recorded, body: '<h1>Shop</h1><input id="name">'});
  await visit.page.waitForTimeout(300);
  await visit.page.focus('#name');
  for (const key of ['a', 'b', 'c']) await visit.page.keyboard.press(key);
  await visit.page.waitForTimeout(300);
  const [count, events, first] = [await visit.page.evaluate(() => (performance as any).interactionCount), await entries(visit.page, 'event'), await entries(visit.page, 'first-input')];
  await visit.leave();
  const stored = await scene.events(visit, {count: 7});
  expect(count).toBeGreaterThan(0);
  const slowest = Math.max(0, ...events.filter(({interactionId}) => interactionId).map(({duration}) => duration));
  const [inp, ...more] = named(stored, 'INP');
  expect(more).toEqual([]);
  // How fast they are is the machine's business.
  expect(inp!.value).toBe(slowest || first[0].duration);
});

test('a restore from the back/forward cache has vitals of its own, on its own page view', async () => {
  const visit = await scene.visit({script: vitals, body: '<h1>Shop</h1><a id="next" href="/next">next</a>'});
  scene.routes['/next'] = '<!doctype html><title>Next</title><h1>Next';
  await visit.page.waitForTimeout(300);
  await visit.page.goto(`${scene.origin}/next`);
  await visit.page.goBack({waitUntil: 'commit'});
  await visit.page.waitForTimeout(500);
  expect(await visit.page.evaluate(() => 'client' in globalThis)).toBe(true);
  await visit.leave();
  const stored = await scene.events(visit, {count: 11});
  const views = named(stored, 'page_view');
  expect(views.map(({attributes}) => attributes['navigation_type'])).toEqual(['load', 'bfcache']);
  for (const [index, type] of ['navigate', 'back-forward-cache'].entries()) {
    const own = stored.filter(({kind, page}) => kind === 'vital' && page === views[index]!.page);
    expect(own.map(({name}) => name).sort()).toEqual(index ? ['CLS', 'FCP', 'LCP', 'TTFB'] : ['CLS', 'FCP', 'FP', 'LCP', 'TTFB']);
    expect(new Set(own.map(({attributes}) => attributes['navigation_type']))).toEqual(new Set([type]));
    expect(own.every(({data}) => data.visibility === 'visible')).toBe(true);
  }
  expect(stored).toHaveLength(11);
});

test('the vitals of a page that was prerendered count from when it was shown', async () => {
  scene.routes['/wide.css'] = {body: 'h1 { font-size: 40px }', delay: 200};
  const page = await scene.prerender({
    script: watching('pageViews()', 'webVitals({attribution})', 'navigationTiming()'),
    head: `<script>(${record})();</script><link rel="stylesheet" href="/wide.css">`,
    body: `<h1>Shop</h1><p id="late"></p><script>
      document.addEventListener('prerenderingchange', () => setTimeout(() => { late.textContent = 'much text '.repeat(200); }, 300));
    </script>`,
  });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(scene.sent(page)).toEqual([]);
  await page.activate();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const [paint, lcp, [navigation]] = [await entries(page, 'paint'), await entries(page, 'largest-contentful-paint'), await entries(page, 'navigation')];
  expect(await page.problems()).toEqual([]);
  await page.close();

  const stored = await scene.events(page, {count: 7});
  expect(stored.map(({name}) => name).sort()).toEqual(['CLS', 'FCP', 'FP', 'LCP', 'TTFB', 'navigation', 'page_view']);
  expect(new Set(stored.map(({attributes}) => attributes['navigation_type']))).toEqual(new Set(['prerender']));
  expect(new Set(stored.map(({page}) => page)).size).toBe(1);
  const {activationStart, loadEventEnd, requestStart, responseStart} = navigation;
  const shown = ({startTime}: PerformanceEntry): unknown => expect.closeTo(startTime - activationStart, 0);
  expect(activationStart).toBeGreaterThan(1_000);
  expect(loadEventEnd).toBeGreaterThan(200);
  expect(named(stored, 'FP')[0]!.value).toEqual(shown(paint.find(({name}) => name === 'first-paint')));
  expect(named(stored, 'FCP')[0]!.value).toEqual(shown(paint.find(({name}) => name === 'first-contentful-paint')));
  expect(named(stored, 'LCP')[0]).toMatchObject({target: '#late', value: shown(lcp.at(-1)), data: {visibility: 'visible'}});
  expect(named(stored, 'LCP')[0]!.value).toBeGreaterThanOrEqual(300);
  expect(named(stored, 'TTFB')[0]).toMatchObject({value: 0, data: {visibility: 'visible'}});
  // It was loaded before anybody waited for it; what the network took is as it was.
  const load = {load: 0, dom_interactive: 0, dom_complete: 0, request: expect.closeTo(responseStart - requestStart, 0), visibility: 'visible'};
  expect(named(stored, 'navigation')[0]).toMatchObject({value: 0, data: load});
});

const SPA = `<nav><button id="go">Next</button></nav><main><h1>Home</h1></main>
  <script>
    let views = 0;
    go.onclick = () => {
      const end = performance.now() + 60;
      while (performance.now() < end);
      history.pushState(null, '', '/soft-' + ++views);
      setTimeout(() => { document.querySelector('main').innerHTML = '<h1 style="font-size:60px">View ' + views + '</h1><p>' + 'content '.repeat(200) + '</p>'; }, 30);
    };
  </script>`;

test('a soft navigation has vitals of its own, on the page view that it began', async () => {
  const visit = await scene.visit({script: watching('pageViews()', 'webVitals({attribution, softNavigations: true})'), prepare: recorded, body: SPA});
  await visit.page.waitForTimeout(500);
  for (let i = 1; i <= 2; i++) {
    await visit.page.click('#go');
    await visit.page.waitForFunction((count) => (globalThis as any).seen.filter(({entryType}: PerformanceEntry) => entryType === 'soft-navigation').length === count, i);
    await visit.page.waitForTimeout(700);
  }
  const soft = await entries(visit.page, 'soft-navigation');
  await visit.leave();

  const stored = await scene.events(visit, {count: 18});
  const views = named(stored, 'page_view');
  expect(views.map(({route}) => route)).toEqual([visit.url.replace(scene.origin, ''), '/soft-1', '/soft-2']);
  for (const [index, view] of views.entries()) {
    const own = stored.filter(({kind, page}) => kind === 'vital' && page === view.page);
    // The last interaction began the last view; there was none after it.
    const expected = ['CLS', 'FCP', ...(index ? [] : ['FP']), ...(index < 2 ? ['INP'] : []), 'LCP', 'TTFB'];
    expect(own.map(({name}) => name).sort()).toEqual(expected);
    expect(new Set(own.map(({attributes}) => attributes['navigation_type']))).toEqual(new Set([index ? 'soft-navigation' : 'navigate']));
    if (!index) continue;
    const {presentationTime, startTime} = soft[index - 1];
    expect(named(own, 'FCP')[0]!.value).toBeCloseTo(presentationTime - startTime, 0);
    expect(named(own, 'LCP')[0]!.value).toBeGreaterThanOrEqual(named(own, 'FCP')[0]!.value! - 1);
  }
  expect(stored).toHaveLength(18);
});

test('soft navigations are nothing of their own when they are not asked for', async () => {
  const visit = await scene.visit({script: vitals, prepare: recorded, body: SPA});
  await visit.page.waitForTimeout(300);
  await visit.page.click('#go');
  await interacted(visit.page);
  await visit.leave();
  const stored = await scene.events(visit, {count: 8});
  const [load] = named(stored, 'page_view');
  expect(stored.filter(({kind}) => kind === 'vital').map(({name, page}) => [name, page]).sort()).toEqual(['CLS', 'FCP', 'FP', 'INP', 'LCP', 'TTFB'].map((name) => [name, load!.page]));
});

test('the load is captured as the browser timed it', async () => {
  scene.routes['/slow.svg'] = {body: '<svg xmlns="http://www.w3.org/2000/svg"/>', delay: 300};
  const visit = await scene.visit({script: watching('pageViews()', 'navigationTiming()'), prepare: recorded, body: '<h1>Shop</h1><img src="/slow.svg">'});
  await visit.page.evaluate(() => history.pushState(null, '', '/elsewhere'));
  await visit.page.waitForTimeout(200);
  const [entry] = await entries(visit.page, 'navigation');
  await visit.leave();
  const stored = await scene.events(visit, {count: 3});
  const [navigation, ...more] = stored.filter(({kind}) => kind === 'navigation');
  expect(more).toEqual([]);
  expect(navigation).toMatchObject({name: 'navigation', attributes: {navigation_type: 'navigate'}, url: visit.url});
  const close = (value: number): unknown => expect.closeTo(value, 0);
  expect(entry.loadEventEnd).toBeGreaterThan(300);
  expect(navigation!.value).toEqual(close(entry.loadEventEnd));
  expect(navigation!.data).toEqual({
    redirect: 0,
    dns: close(entry.domainLookupEnd - entry.domainLookupStart),
    tcp: close(entry.connectEnd - entry.connectStart),
    tls: 0,
    request: close(entry.responseStart - entry.requestStart),
    response: close(entry.responseEnd - entry.responseStart),
    dom_interactive: close(entry.domInteractive),
    dom_complete: close(entry.domComplete),
    load: close(entry.loadEventEnd),
    transfer_size: entry.transferSize,
    protocol: 'http/1.1',
    visibility: 'visible',
  });
});

test('a step back in the history and a reload are named as such', async () => {
  const visit = await scene.visit({script: watching('webVitals()', 'navigationTiming()')});
  scene.routes['/next'] = '<!doctype html><title>Next</title><h1>Next';
  await visit.page.waitForTimeout(200);
  // Whose window is open is not kept in the back/forward cache.
  await visit.page.evaluate(() => void open('about:blank'));
  await visit.page.bringToFront();
  await visit.page.goto(`${scene.origin}/next`);
  await visit.page.goBack({timeout: 10_000});
  await visit.page.waitForTimeout(300);
  await visit.page.reload();
  await visit.page.waitForTimeout(300);
  await visit.leave();
  const stored = await scene.events(visit, {count: 18});
  const types = (kind: string, name: string): unknown[] => stored.filter((event) => event.kind === kind && event.name === name).map(({attributes}) => attributes['navigation_type']);
  expect(types('navigation', 'navigation')).toEqual(['navigate', 'back_forward', 'reload']);
  expect(types('vital', 'LCP')).toEqual(['navigate', 'back-forward', 'reload']);
});

/** The metrics by trying every moment at which a quiet window could begin. */
function expectedBlocking(fcp: number, parsed: number, tasks: {startTime: number; duration: number}[]): {tti: number; tbt: number} {
  const begins = [fcp, ...tasks.map(({startTime, duration}) => startTime + duration)].filter((time) => time >= fcp).sort((a, b) => a - b);
  const quiet = begins.find((begin) => !tasks.some(({startTime, duration}) => startTime < begin + 5_000 && startTime + duration > begin))!;
  const tti = Math.max(quiet, parsed);
  const blocked = tasks.filter(({startTime}) => startTime < tti).map(({startTime, duration}) => startTime + duration - Math.max(startTime, fcp) - 50);
  return {tti, tbt: blocked.reduce((sum, time) => sum + Math.max(time, 0), 0)};
}

const LOOPS = `<h1>Shop</h1><script>
  requestAnimationFrame(() => requestAnimationFrame(() => {
    setTimeout(() => busy(130), 300);
    setTimeout(() => busy(40), 700);
    setTimeout(() => busy(250), 1000);
  }));</script>`;

test('blocking time and time to interactive are those of the long tasks that were run', async () => {
  const visit = await scene.visit({script: watching('blockingTime()'), prepare: recorded, head: busy, body: LOOPS});
  await visit.page.waitForTimeout(9_000);
  const [tasks, paint, [navigation]] = [await entries(visit.page, 'longtask'), await entries(visit.page, 'paint'), await entries(visit.page, 'navigation')];
  const {tti, tbt} = expectedBlocking(paint.find(({name}) => name === 'first-contentful-paint').startTime, navigation.domContentLoadedEventEnd, tasks);
  await visit.leave();
  const stored = await scene.events(visit, {count: 2});
  expect(stored.map(({kind, name}) => [kind, name]).sort()).toEqual([['vital', 'TBT'], ['vital', 'TTI']]);
  // Two of the three loops were long.
  expect(tbt).toBeGreaterThanOrEqual(130 + 250 - 2 * 50);
  expect(named(stored, 'TBT')[0]!.value).toBeCloseTo(tbt, 0);
  expect(named(stored, 'TTI')[0]!.value).toBeCloseTo(tti, 0);
  expect(named(stored, 'TTI')[0]).toMatchObject({attributes: {navigation_type: 'navigate'}, data: {visibility: 'visible', delta: expect.closeTo(tti, 0)}});
  expect(named(stored, 'TBT')[0]!.rating).toBe(tbt > 600 ? 'poor' : tbt > 200 ? 'needs-improvement' : 'good');
});

test('what a page did before it was shown has blocked nobody', async () => {
  const page = await scene.prerender({
    script: watching('blockingTime()'),
    head: `${busy}<script>(${record})();</script>`,
    body: `<h1>Shop</h1><script>
      busy(400);
      performance.measure('early');
      document.addEventListener('prerenderingchange', () => setTimeout(() => busy(180), 500));
    </script>`,
  });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await page.activate();
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  const [tasks, paint, [{activationStart}], [early]] = [await entries(page, 'longtask'), await entries(page, 'paint'), await entries(page, 'navigation'), await entries(page, 'measure')];
  await page.close();
  const stored = await scene.events(page, {count: 2});
  const {tti, tbt} = expectedBlocking(paint.find(({name}) => name === 'first-contentful-paint').startTime, 0, tasks);
  expect(early.duration).toBeGreaterThanOrEqual(400);
  expect(early.duration).toBeLessThan(activationStart);
  expect(stored.map(({name, value, attributes}) => [name, value, attributes['navigation_type']]).sort()).toEqual([
    ['TBT', expect.closeTo(tbt, 0), 'prerender'],
    ['TTI', expect.closeTo(tti - activationStart, 0), 'prerender'],
  ]);
  expect(tbt).toBeGreaterThanOrEqual(130);
  expect(tbt).toBeLessThan(400);
});

test('a page that is hidden before it came to rest has neither, nor later', async () => {
  const visit = await scene.visit({context: await scene.desktop(), script: watching('blockingTime()', 'navigationTiming()'), head: busy, body: LOOPS});
  await visit.page.waitForTimeout(2_000);
  await hide(visit.page);
  await show(visit.page);
  await visit.page.waitForTimeout(7_000);
  await visit.leave();
  const stored = await scene.events(visit, {count: 1});
  expect(stored.map(({name}) => name)).toEqual(['navigation']);
});

test('the ten longest animation frames are captured, with the scripts that made them', async () => {
  scene.routes['/work.js'] = {body: 'function checkout() { busy(60 + 10 * checkout.count++); if (checkout.count < 12) setTimeout(checkout, 30); } checkout.count = 0;'};
  const visit = await scene.visit({script: watching('longTasks()'), prepare: recorded, head: `${busy}<script src="/work.js?v=1"></script>`, body: '<h1>Shop</h1>'});
  await visit.page.waitForTimeout(300);
  await visit.page.evaluate(() => void setTimeout((globalThis as any).checkout));
  await visit.page.waitForTimeout(2_500);
  const frames = (await entries(visit.page, 'long-animation-frame')).sort((a, b) => b.duration - a.duration).slice(0, 10);
  await visit.leave();
  const stored = await scene.events(visit, {count: 10});
  expect(stored).toHaveLength(10);
  expect(stored.every(({kind, name}) => kind === 'longtask' && name === 'long-animation-frame')).toBe(true);
  const sorted = stored.sort((a, b) => b.value! - a.value!);
  expect(sorted.map(({value}) => value)).toEqual(frames.map(({duration}) => duration));
  const [longest] = sorted.filter(({data}) => data.scripts[0]?.function === 'checkout');
  const frame = frames.find(({duration}) => duration === longest!.value);
  expect(longest).toMatchObject({target: `${scene.origin}/work.js`});
  expect(longest!.data).toEqual({
    start: expect.closeTo(frame.startTime, 0),
    blocking_duration: expect.closeTo(frame.blockingDuration, 0),
    scripts: expect.arrayContaining([{url: `${scene.origin}/work.js`, function: 'checkout', invoker: 'TimerHandler:setTimeout', duration: expect.any(Number)}]),
  });
  expect(longest!.data.scripts[0].duration).toBeGreaterThan(100);
});

test('what the page loaded is summed up by type, for each page view', async () => {
  Object.assign(scene.routes, {
    '/a.css': {body: '@font-face { font-family: F; src: url(/f.woff2) } body { font-family: F; background: url(/tile.svg) }'},
    '/f.woff2': {body: 'no font', status: 200},
    '/tile.svg': {body: '<svg xmlns="http://www.w3.org/2000/svg"/>'},
    '/a.svg': {body: '<svg xmlns="http://www.w3.org/2000/svg"/>'},
    '/b.svg': {body: '<svg xmlns="http://www.w3.org/2000/svg"/>', delay: 300},
    '/cart.json': {body: '{"items":[]}'},
  });
  const visit = await scene.visit({
    script: `${watching('pageViews()', 'resources()')}
      const request = new XMLHttpRequest();
      request.open('GET', '/cart.json?token=hunter2');
      request.send();`,
    head: '<link rel="stylesheet" href="/a.css">',
    body: '<h1>Shop</h1><img src="/a.svg"><img src="/b.svg?sig=1">',
    prepare: recorded,
  });
  await visit.page.waitForTimeout(1_000);
  // So that a request of the SDK's own is among those that the browser tells of.
  await visit.page.evaluate(() => (globalThis as any).client.flush());
  const first = await entries(visit.page, 'resource');
  await visit.page.evaluate(async () => {
    history.pushState(null, '', '/cart');
    await fetch('/cart.json');
    await fetch('/cart.json');
  });
  await visit.page.waitForTimeout(200);
  await visit.leave();

  const stored = await scene.events(visit, {count: 8});
  const [load, cart] = named(stored, 'page_view');
  const of = (view: StoredEvent): StoredEvent[] => stored.filter(({kind, page}) => kind === 'resource' && page === view.page);
  expect(first.some(({name}) => name.startsWith(visit.dsn.replace('demo-key@', '').replace('shop', 'api/shop')))).toBe(true);
  expect(Object.fromEntries(of(load!).map(({name, data}) => [name, data.count]))).toEqual({css: 1, font: 1, img: 3, script: 1, xhr: 1});
  expect(of(cart!).map(({name, data, target}) => [name, data.count, target])).toEqual([['fetch', 2, `${scene.origin}/cart.json`]]);

  const images = first.filter(({name}) => name.includes('.svg'));
  const [img] = of(load!).filter(({name}) => name === 'img');
  expect(img).toMatchObject({target: `${scene.origin}/b.svg`, value: expect.closeTo(images.find(({name}) => name.includes('b.svg')).duration, 0)});
  expect(img!.data).toMatchObject({
    transfer_size: images.reduce((sum, {transferSize}) => sum + transferSize, 0),
    duration: expect.closeTo(images.reduce((sum, {duration}) => sum + duration, 0), 0),
  });
  expect(img!.data.slowest).toHaveLength(3);
  expect(img!.data.slowest[0]).toEqual({url: `${scene.origin}/b.svg`, duration: expect.closeTo(img!.value!, 0), size: expect.any(Number)});
  expect(JSON.stringify(stored)).not.toContain('hunter2');
});
