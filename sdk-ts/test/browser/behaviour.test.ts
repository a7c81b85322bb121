import {afterAll, beforeAll, expect, test} from 'vitest';
import {hide, show} from './desktop.js';
import {startScene, type Scene, type StoredEvent} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
  scene.routes['/elsewhere'] = 'Elsewhere';
});
afterAll(() => scene?.stop());

/** A page that runs these integrations; `globalThis.client` is theirs. */
const running = (...names: string[]): string => `
  import {createClient} from '../../src/client.js';
  ${names.map((name) => `import {${name.replace(/\W.*/, '')}} from '../../src/integrations/${name.replace(/\W.*/, '')}.js';`).join('\n')}
  globalThis.client = createClient({dsn: MONITOR_DSN, release: RELEASE, integrations: [${names.map((name) => (name.includes('(') ? name : `${name}()`)).join(', ')}]});`;

const of = (events: StoredEvent[], kind: string): StoredEvent[] => events.filter((event) => event.kind === kind);
const targets = (events: StoredEvent[], kind: string): string[] => of(events, kind).map(({target}) => target);
const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('page views: load, push, replace, pop, a step within the page and back/forward cache, each once, with a wrapper below and above', async () => {
  const visit = await scene.visit({
    path: '/views',
    script: `
      const calls: unknown[] = (globalThis as any).calls = [];
      const wrap = (label: string) => {
        const {pushState} = history;
        history.pushState = function (...args) { calls.push(label); return pushState.apply(this, args); };
      };
      wrap('below');
      ${running('pageViews')}
      wrap('above');`,
  });
  const {page} = visit;
  await page.evaluate(() => {
    history.pushState({a: 1}, '', '/views/cart?x=1');
    history.replaceState({a: 2}, '', '/views/cart?x=2');
    history.replaceState({a: 3}, '', '/views/checkout');
    history.pushState(null, '', '/views/checkout');
  });
  await page.goBack({waitUntil: 'commit'});
  await page.waitForTimeout(100);
  await page.goBack({waitUntil: 'commit'});
  await page.waitForTimeout(100);
  await page.evaluate(() => {
    location.hash = 'reviews';
  });
  await page.waitForTimeout(100);
  expect(await page.evaluate(() => (globalThis as any).calls)).toEqual(['above', 'below', 'above', 'below']);
  await page.goto(scene.origin + '/elsewhere');
  await page.goBack({waitUntil: 'commit'});
  await page.waitForTimeout(200);
  await visit.leave();
  const events = await scene.events(visit, {count: 6});
  expect(events.map(({attributes, url}) => [attributes['navigation_type'], url.replace(scene.origin, '')])).toEqual([
    ['load', '/views'],
    ['push', '/views/cart?x=1'],
    ['replace', '/views/checkout'],
    ['pop', '/views'],
    ['pop', '/views#reviews'],
    ['bfcache', '/views#reviews'],
  ]);
  expect(new Set(events.map(({page}) => page)).size).toBe(6);
  expect(visit.problems).toEqual([]);
});

test('page views: what the Navigation API does is one view each, as is what it only tells of', async () => {
  const visit = await scene.visit({
    path: '/navigation',
    script: running('pageViews'),
    body: `<a id="link" href="/navigation/link">Link</a> <a id="part" href="#part">Part</a><script>
      navigation.addEventListener('navigate', (event) => { if (event.canIntercept && !event.hashChange) event.intercept({handler: async () => {}}); });
    </script>`,
  });
  const {page} = visit;
  await page.click('#link');
  await page.click('#part');
  const settled = (go: string): Promise<unknown> => page.evaluate(`(async () => { await (${go}); await new Promise((resolve) => setTimeout(resolve, 50)); })()`);
  await settled("navigation.navigate('/navigation/two').finished");
  await settled("navigation.navigate('/navigation/two?tab=1', {history: 'replace'}).finished");
  await settled("navigation.navigate('/navigation/three', {history: 'replace'}).finished");
  await settled("history.pushState(null, '', '/navigation/pushed')");
  await settled("history.pushState(null, '', '#pushed')");
  await settled("history.replaceState(null, '', '/navigation/replaced')");
  await settled('navigation.updateCurrentEntry({state: 1})');
  await settled('navigation.back().finished');
  await settled('history.back()');
  await visit.leave();
  const events = await scene.events(visit, {count: 10});
  expect(events.map(({attributes, url}) => [attributes['navigation_type'], url.replace(scene.origin + '/navigation', '')])).toEqual([
    ['load', ''],
    ['push', '/link'],
    ['pop', '/link#part'],
    ['push', '/two'],
    ['replace', '/three'],
    ['push', '/pushed'],
    ['push', '/pushed#pushed'],
    ['replace', '/replaced'],
    ['pop', '/pushed'],
    ['pop', '/three'],
  ]);
  expect(visit.problems).toEqual([]);
});

test('page views: after close the history is the one of before', async () => {
  const visit = await scene.visit({script: running('pageViews')});
  const native = await visit.page.evaluate(async () => {
    await (globalThis as any).client.close();
    history.pushState(null, '', '/after');
    return Object.keys(history).length === 0 && String(history.pushState).includes('[native code]');
  });
  expect(native).toBe(true);
  expect(await scene.events(visit)).toHaveLength(1);
});

test('page views: a router is one view per navigation, its bookkeeping none', async () => {
  const visit = await scene.visit({
    path: '/router',
    script: `
      import {createApp, h} from 'vue';
      import {createRouter, createWebHistory, RouterView} from 'vue-router';
      ${running('pageViews')}
      const view = (name: string) => ({render: () => h('h1', name)});
      const router = createRouter({
        history: createWebHistory('/router'),
        routes: [{path: '/', component: view('home')}, {path: '/cart', component: view('cart')}, {path: '/old', redirect: '/new'}, {path: '/new', component: view('new')}],
      });
      addEventListener('DOMContentLoaded', () => createApp({render: () => h(RouterView)}).use(router).mount('body'));
      Object.assign(globalThis, {router});`,
  });
  const {page} = visit;
  await page.waitForSelector('text=home');
  const go = (path: string): Promise<unknown> => page.evaluate((path) => (globalThis as any).router.push(path), path);
  await go('/cart');
  await go('/cart');
  await go('/old');
  await page.goBack({waitUntil: 'commit'});
  await page.waitForSelector('text=cart');
  await visit.leave();
  const events = await scene.events(visit, {count: 4});
  expect(events.map(({attributes, route}) => [attributes['navigation_type'], route])).toEqual([
    ['load', '/router'],
    ['push', '/router/cart'],
    ['push', '/router/new'],
    ['pop', '/router/cart'],
  ]);
  expect(visit.problems).toEqual([]);
});

test('page views: a prerendered page is viewed when it is shown, once, and only then is time spent on it', async () => {
  const page = await scene.prerender({script: running('pageViews', 'timeOnPage', 'scrollDepth')});
  await wait(1_500);
  const shownAt = Date.now();
  await page.activate();
  await wait(600);
  expect(await page.problems()).toEqual([]);
  await page.close();
  const events = await scene.events(page, {count: 3});
  const [view] = of(events, 'page_view');
  expect(events.map(({kind, attributes}) => [kind, attributes['navigation_type']]).sort()).toEqual([
    ['page_view', 'prerender'],
    ['scroll_depth', undefined],
    ['time_on_page', undefined],
  ]);
  expect(view!.time).toBeGreaterThanOrEqual(shownAt - 1);
  const [{value}] = of(events, 'time_on_page') as [StoredEvent];
  expect(value).toBeGreaterThanOrEqual(500);
  expect(value).toBeLessThan(1_400);
});

test('page views: a page that is prerendered and never shown is none', async () => {
  const page = await scene.prerender({script: running('pageViews', 'timeOnPage', 'scrollDepth', 'webVitals', 'navigationTiming')});
  // What a test says it captures is captured, to tell that the page could.
  await page.evaluate(() => (globalThis as any).client.capture({kind: 'track', name: 'prerendered'}));
  await wait(6_000);
  await page.close();
  const events = await scene.events(page, {count: 1});
  expect(events.map(({name}) => name)).toEqual(['prerendered']);
});

test('clicks: one per click, also on labels and in shadow roots; private texts stay where they are', async () => {
  const visit = await scene.visit({
    script: running('clicks', 'declarative'),
    body: `
      <button id="plain">Pay 12 € to Ada</button>
      <label id="agree" data-monitor-track="agreed"><input type="checkbox" id="box"> I agree</label>
      <nav data-monitor-text><a href="#" id="home">Home <b>page</b></a>
        <div id="mixed" style="width:300px">Ada <textarea>secret letter</textarea></div>
        <div id="edit" contenteditable>secret draft</div></nav>
      <div data-monitor-mask id="account-of-ada"><p class="ada" data-monitor-text>secret account</p></div>
      <shop-cart></shop-cart>
      <div data-monitor-mask><shop-cart id="masked"></shop-cart></div>
      <script>
        for (const host of document.querySelectorAll('shop-cart')) {
          host.attachShadow({mode: 'open'}).innerHTML = '<button class="inner"><svg width="20" height="20"><path d="M0 0h20v20H0z"/></svg></button>';
        }
      </script>
      <div style="height:3000px"></div><button id="below">Below</button>`,
  });
  const {page} = visit;
  await page.click('#plain');
  // The text, not the box in the middle: the browser clicks the box by itself then.
  await page.click('#agree', {position: {x: 60, y: 8}});
  await page.waitForTimeout(200);
  for (const target of ['#box', '#home', '#edit', '.ada']) await page.click(target);
  await page.click('#mixed', {position: {x: 5, y: 5}});
  await page.click('shop-cart >> nth=0 >> path');
  await page.click('#masked path');
  await page.click('#below');
  await visit.leave();
  const events = await scene.events(visit, {count: 12});
  expect(targets(events, 'click')).toEqual(['#plain', '#agree', '#box', '#home', '#edit', 'p', '#mixed', 'button.inner', 'button', '#below']);
  expect(of(events, 'track').map(({name}) => name)).toEqual(['agreed', 'agreed']);
  const [first] = events;
  const last = of(events, 'click').pop()!;
  expect(of(events, 'click').map(({data}) => data.text)).toEqual([, , , 'Home page', , , , , , ,].map((text) => text));
  expect(JSON.stringify(events)).not.toMatch(/secret|Ada|account-of/);
  expect(first!.data).toMatchObject({x: expect.any(Number), y: expect.any(Number)});
  expect(last.data.page_y - last.data.y).toBeGreaterThan(2000);
  expect(events).toHaveLength(12);
});

test('rage clicks: one per series, with the number of clicks', async () => {
  const visit = await scene.visit({
    script: running('clicks', 'rageClicks'),
    body: `<button id="dead">Send</button> <button id="more" data-monitor-rage="off">+</button> <input type="number" id="number">
      <p id="text">A paragraph that one selects by three clicks.</p><button id="keys">Keys</button>
      <button id="renews" onclick="this.innerHTML = '<b>Renews</b>'"><b>Renews</b></button>`,
  });
  const {page} = visit;
  await page.click('#dead', {clickCount: 5, delay: 20});
  for (const target of ['#more', '#number', '#text']) await page.click(target, {clickCount: target === '#text' ? 3 : 6, delay: 20});
  await page.waitForTimeout(1_200);
  await page.click('#dead', {clickCount: 2, delay: 20});
  await page.focus('#keys');
  for (let i = 0; i < 5; i++) await page.keyboard.press('Enter');
  for (let i = 0; i < 4; i++) {
    await page.click('#keys');
    await page.waitForTimeout(600);
  }
  await page.click('#dead', {clickCount: 4, delay: 20});
  await page.click('#renews', {clickCount: 4, delay: 20});
  await visit.leave();
  const clicks = 5 + 6 + 6 + 3 + 2 + 5 + 4 + 4 + 4;
  const events = await scene.events(visit, {count: clicks + 3});
  expect(of(events, 'click')).toHaveLength(clicks);
  expect(of(events, 'rage_click').map(({target, value, name}) => [name, target, value])).toEqual([
    ['rage_click', '#dead', 5],
    ['rage_click', '#dead', 4],
    ['rage_click', '#renews', 4],
  ]);
});

test('dead clicks: only what nothing answers', async () => {
  scene.routes['/slow'] = {body: 'late', delay: 3_500};
  const page = {
    path: '/dead',
    script: running('deadClicks', 'pageViews'),
    body: `
      <button id="dead">Dead</button> <span id="pointer" style="cursor:pointer">Pretends</span> <a href="javascript:void(0)" id="void">Void</a>
      <p id="text">Only a text</p> <button id="changes">Changes</button> <button id="menu">Menu</button> <a id="link" href="/slow">Slow</a>
      <a id="prevented" href="/elsewhere">Prevented</a> <input id="input"> <button id="focuses">Focus</button> <button id="pushes">Push</button>
      <form action="/slow"><button id="submit">Submit</button></form> <button id="opens" popovertarget="pop">Open</button><p id="pop" popover>Popover</p> <button id="off" data-monitor-rage="off">Off</button>
      <button id="more">+</button> <button id="tick">All</button> <input type="checkbox" id="box"> <button id="shakes">Shake</button> <button id="asks">Ask</button>
      <style>#pressed:active, #pressed:focus { opacity: .5; transition: opacity 5s }</style> <button id="pressed">Pressed</button>
      <button id="scrolls">Scroll</button> <shop-cart></shop-cart><div style="height:3000px"></div>
      <script>
        const on = (id, type, listener) => document.getElementById(id).addEventListener(type, listener);
        on('changes', 'click', () => setTimeout(() => document.body.append('changed'), 1500));
        on('menu', 'pointerdown', ({target}) => target.setAttribute('aria-expanded', 'true'));
        on('prevented', 'click', (event) => event.preventDefault());
        on('focuses', 'click', () => document.getElementById('input').focus());
        on('pushes', 'click', () => history.pushState(null, '', '/dead/pushed'));
        on('scrolls', 'click', () => scrollTo(0, 200));
        on('more', 'click', () => { document.getElementById('input').value += '1'; });
        on('tick', 'click', () => { document.getElementById('box').checked = true; });
        on('shakes', 'click', ({target}) => target.animate([{opacity: 0}, {opacity: 1}], 300));
        on('asks', 'click', () => alert('Really?'));
        const root = document.querySelector('shop-cart').attachShadow({mode: 'open'});
        root.innerHTML = '<button>Counts <i></i></button>';
        root.querySelector('button').onclick = () => root.querySelector('i').textContent += '1';
      </script>`,
  };
  const first = await scene.visit(page);
  const {context, release} = first;
  const judged = 3_000;
  const visits = [first];
  const slow = ['#link', '#submit'];
  const clicking = async (target: string): Promise<void> => {
    const visit = await scene.visit({...page, context, release});
    visits.push(visit);
    // As fast as nobody reads.
    visit.page.on('dialog', (dialog) => setTimeout(() => void dialog.accept(), 1_000));
    await visit.page.click(target, {noWaitAfter: true});
    // The browser is on its way for longer than a click is judged; the page is left when it arrives.
    if (slow.includes(target)) return visit.page.waitForURL('**/slow*');
    await visit.page.waitForTimeout(judged);
    await visit.leave();
  };
  const quick = ['#dead', '#pointer', '#void', '#prevented', '#text', '#changes', '#menu', '#input', '#focuses', '#off', '#opens', '#scrolls', '#pushes', 'shop-cart button'];
  const unobserved = ['#more', '#tick', '#shakes', '#asks', '#pressed'];
  await Promise.all([...quick, ...unobserved, ...slow].map(clicking));
  // Of a series the last click is judged; clicks of a script are not, and a page that is left has no time to answer.
  await first.page.click('#dead', {clickCount: 3, delay: 10});
  await first.page.waitForTimeout(judged);
  await first.page.evaluate(() => document.getElementById('dead')!.click());
  await first.page.waitForTimeout(judged);
  await first.page.click('#dead');
  await first.leave();
  // One view per visit, and what was pushed.
  const events = await scene.events(first, {count: 22 + 1 + 6});
  expect(targets(events, 'dead_click').sort()).toEqual(['#dead', '#dead', '#pointer', '#pressed', '#prevented', '#void']);
  expect(visits.flatMap(({problems}) => problems)).toEqual([]);
});

test('forms: sent once, with how and where to, never with what', async () => {
  scene.routes['/search'] = 'found';
  const visit = await scene.visit({
    script: running('forms'),
    body: `
      <form id="login" method="post" action="/login?token=secret"><input name="action" value="secret"><input name="method" value="secret">
        <input name="password" type="password" value="secret"><input name="needed" required><button>Go</button>
        <button id="other" formaction="/other" formmethod="get">Other</button></form>
      <form id="plain"><button>Go</button></form>
      <script>for (const form of document.forms) form.addEventListener('submit', (event) => { event.preventDefault(); event.stopImmediatePropagation(); });</script>`,
  });
  const {page} = visit;
  await page.click('#login button');
  await page.fill('[name=needed]', 'secret');
  await page.click('#login button');
  await page.click('#other');
  await page.click('#plain button');
  await visit.leave();
  const events = await scene.events(visit, {count: 3});
  expect(events.map(({kind, target, method, data}) => [kind, target, method, data.action])).toEqual([
    ['form_submit', '#login', 'POST', `${scene.origin}/login?token=[scrubbed]`],
    ['form_submit', '#login', 'GET', `${scene.origin}/other`],
    ['form_submit', '#plain', 'GET', visit.url],
  ]);
  expect(JSON.stringify(events)).not.toContain('secret');
});

test('time on page: what was visible, per page view, with the rest sent again after a return', async () => {
  const visit = await scene.visit({context: await scene.desktop(), script: running('pageViews', 'timeOnPage')});
  const {page} = visit;
  await page.waitForTimeout(500);
  await hide(page);
  await page.waitForTimeout(2_000);
  await show(page);
  await page.waitForTimeout(300);
  await page.evaluate(() => history.pushState(null, '', '/second'));
  await page.waitForTimeout(400);
  // Hidden, frozen and shown again from the back/forward cache.
  await page.goto(scene.origin + '/elsewhere');
  await page.waitForTimeout(2_000);
  await page.goBack({waitUntil: 'commit'});
  await page.waitForTimeout(600);
  await visit.leave();
  const events = await scene.events(visit, {count: 7});
  const views = of(events, 'page_view').map(({page}) => page);
  const times = of(events, 'time_on_page');
  expect(views).toHaveLength(3);
  const onPage = views.map((view) => times.filter(({page}) => page === view));
  expect(onPage.map(({length}) => length)).toEqual([2, 1, 1]);
  const [first, second, third] = onPage.map((events) => sum(events.map(({value}) => value!))) as [number, number, number];
  for (const [time, least] of [[first, 800], [second, 400], [third, 600]] as const) {
    expect(time).toBeGreaterThanOrEqual(least - 100);
    expect(time).toBeLessThan(least + 900);
  }
});

test('time on page: a tab behind has none until it is shown; each time it is seen is as long as the browser says', async () => {
  const visit = await scene.visit({context: await scene.desktop(), behind: true, script: running('timeOnPage')});
  await wait(1_000);
  for (const ms of [600, 1_200]) {
    await show(visit.page);
    await wait(ms);
    await hide(visit.page);
    await wait(1_500);
  }
  const states = await visit.page.evaluate(() => performance.getEntriesByType('visibility-state').map(({name, startTime}) => [name, startTime] as const));
  await visit.page.close();
  expect(states.map(([name]) => name)).toEqual(['hidden', 'visible', 'hidden', 'visible', 'hidden']);
  const seen = (index: number): number => states[index + 1]![1] - states[index]![1];
  const times = (await scene.events(visit, {count: 2})).map(({value}) => value!);
  expect(times).toHaveLength(2);
  // The browser notes the moment a little before it tells the page.
  expect(Math.abs(times[0]! - seen(1))).toBeLessThan(100);
  expect(Math.abs(times[1]! - seen(3))).toBeLessThan(100);
});

test('scroll depth: the deepest point of each page view, once, and again when it gets deeper', async () => {
  const visit = await scene.visit({script: running('pageViews', 'scrollDepth'), body: '<div style="height:7200px;background:linear-gradient(red,blue)"></div>', context: await scene.desktop()});
  const {page} = visit;
  const measured = async (): Promise<number> =>
    page.evaluate(() => Math.round(((scrollY + document.documentElement.clientHeight) / document.documentElement.scrollHeight) * 100));
  const wheel = async (by: number): Promise<number> => {
    await page.mouse.move(100, 100);
    await page.mouse.wheel(0, by);
    await page.waitForTimeout(700);
    return measured();
  };
  const deepest = await wheel(2_880);
  await wheel(-1_440);
  for (let i = 0; i < 2; i++) {
    await hide(page);
    await show(page);
  }
  const deeper = await wheel(4_320);
  await page.evaluate(() => {
    history.pushState(null, '', '/short');
    document.body.innerHTML = 'Fits';
  });
  await page.waitForTimeout(100);
  await visit.leave();
  const events = await scene.events(visit, {count: 5});
  expect([deepest, deeper].every((percent) => percent > 30 && percent < 100) && deeper > deepest).toBe(true);
  expect(of(events, 'scroll_depth').map(({value}) => value)).toEqual([deepest, deeper, 100]);
  const [one, two, three] = of(events, 'scroll_depth').map(({page}) => page);
  expect([one === two, one === three]).toEqual([true, false]);
});

test('exposure: half of it for a second, once per page view, also what comes later', async () => {
  const visit = await scene.visit({
    script: running('pageViews', 'exposure'),
    body: `<div data-monitor-expose="banner" id="banner" style="height:100px">Banner</div><div id="later"></div>
      <div style="height:3000px"></div><div data-monitor-expose id="below" style="height:100px">Below</div>
      <div style="height:3000px"></div><div data-monitor-expose="never" style="height:100px">Never</div>`,
  });
  const {page} = visit;
  await page.waitForTimeout(300);
  await page.evaluate(() => (document.getElementById('later')!.innerHTML = '<p data-monitor-expose="late" id="late">Late</p>'));
  await page.waitForTimeout(2_000);
  // Passed by, but not looked at.
  await page.evaluate(() => document.getElementById('below')!.scrollIntoView());
  await page.waitForTimeout(300);
  await page.evaluate(() => scrollTo(0, 0));
  await page.waitForTimeout(1_500);
  await page.evaluate(() => history.pushState(null, '', '/second'));
  await page.waitForTimeout(300);
  await page.evaluate(() => document.getElementById('below')!.scrollIntoView());
  await page.waitForTimeout(1_500);
  await visit.leave();
  const events = await scene.events(visit, {count: 5});
  const pages = of(events, 'page_view').map(({page}) => page);
  expect(of(events, 'exposure').map(({name, target, page}) => [name, target, pages.indexOf(page)]).sort()).toEqual([
    ['banner', '#banner', 0],
    ['exposure', '#below', 1],
    ['late', '#late', 0],
  ]);
});

test('exposure: what is on a page that nobody looks at is not seen', async () => {
  const body = '<div data-monitor-expose="banner" style="height:100px">Banner</div>';
  const visit = await scene.visit({context: await scene.desktop(), behind: true, script: running('exposure'), body});
  await wait(2_500);
  await show(visit.page);
  await wait(300);
  await hide(visit.page);
  await wait(3_000);
  const shownAt = Date.now();
  await show(visit.page);
  await wait(2_000);
  await visit.leave();
  const [banner, ...more] = await scene.events(visit);
  expect(more).toEqual([]);
  expect(banner).toMatchObject({name: 'banner', target: 'div'});
  expect(banner!.time - shownAt).toBeGreaterThanOrEqual(1_000);
});

test('exposure: half a second, a look at another tab, and half a second more are no second', async () => {
  const body = '<div data-monitor-expose="banner" style="height:100px">Banner</div>';
  const visit = await scene.visit({context: await scene.desktop(), script: running('exposure'), body});
  let shownAt = 0;
  for (let i = 0; i < 3; i++) {
    await wait(300);
    await hide(visit.page);
    await wait(500);
    shownAt = Date.now();
    await show(visit.page);
  }
  await wait(2_500);
  await visit.leave();
  const [banner, ...more] = await scene.events(visit);
  expect(more).toEqual([]);
  expect(banner!.time - shownAt).toBeGreaterThanOrEqual(1_000);
});

test('declarative: the innermost declaration of its event, with its properties', async () => {
  const visit = await scene.visit({
    script: running('declarative'),
    body: `
      <section data-monitor-track="section"><button id="buy" data-monitor-track="buy" data-monitor-prop-sku="A-1" data-monitor-prop-list-position="3"><b>Buy</b></button>
      <button id="none">None</button></section>
      <form data-monitor-track="search" data-monitor-on="submit" data-monitor-prop-from="header"><input name="dataset"><input name="attributes"><button>Go</button></form>
      <select data-monitor-track="sort" data-monitor-on="change"><option>a</option><option>b</option></select>
      <script>document.forms[0].addEventListener('submit', (event) => event.preventDefault())</script>`,
  });
  const {page} = visit;
  await page.click('#buy b');
  await page.click('#none');
  await page.click('form button');
  await page.selectOption('select', 'b');
  await visit.leave();
  const events = await scene.events(visit, {count: 4});
  expect(events.map(({kind, name, data}) => [kind, name, data])).toEqual([
    ['track', 'buy', {sku: 'A-1', 'list-position': '3'}],
    ['track', 'section', {}],
    ['track', 'search', {from: 'header'}],
    ['track', 'sort', {}],
  ]);
});
