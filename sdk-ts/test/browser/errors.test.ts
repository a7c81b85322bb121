import {afterAll, beforeAll, expect, test} from 'vitest';
import {startScene, type Scene, type StoredEvent} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.stop());

/** A page with these integrations; `client` is global. */
const start = (...integrations: string[]): string => `
  import {createClient} from '../../src/client.js';
  ${integrations.map((call) => `import {${call.replace(/\(.*/s, '')}} from '../../src/integrations/${call.replace(/\(.*/s, '')}.js';`).join('\n')}
  Object.assign(globalThis, {client: createClient({dsn: MONITOR_DSN, release: RELEASE, integrations: [${integrations.join(', ')}]})});`;

/** How many events of this name the query API counts. */
async function counted({release}: {release: string}, name: string): Promise<number> {
  const now = Date.now();
  const body = JSON.stringify({
    project: 'shop',
    from: now - 3_600_000,
    to: now + 60_000,
    filters: [
      {field: 'release', op: 'in', values: [release]},
      {field: 'name', op: 'in', values: [name]},
    ],
    measures: ['count'],
  });
  const answer = await fetch(`${scene.receiver}/query`, {method: 'POST', body, headers: {'content-type': 'application/json'}});
  const {rows} = (await answer.json()) as {rows: [number][]};
  return rows[0]![0];
}

const brief = ({name, data}: StoredEvent): [string, string] => [name, data.message];
const byText = (a: [string, string], b: [string, string]): number => (String(a) < String(b) ? -1 : 1);

test('uncaught errors and rejections arrive with stack, place, causes and inner errors', async () => {
  const visit = await scene.visit({
    script: `${start('errors()')}
      function checkout() { payment(); }
      function payment() {
        try { JSON.parse('{'); } catch (cause) { throw new TypeError('payment failed', {cause: new Error('bad answer', {cause})}); }
      }
      setTimeout(checkout);
      setTimeout(() => void Promise.any([Promise.reject(new RangeError('first')), Promise.reject('second')]));`,
  });
  const [error, aggregate] = (await scene.events(visit, {count: 2})).sort((a, b) => (a.name < b.name ? 1 : -1)) as [StoredEvent, StoredEvent];
  await visit.leave();
  expect(await scene.events(visit, {count: 2})).toHaveLength(2);

  expect(error).toMatchObject({kind: 'error', name: 'TypeError', message: 'payment failed', data: {mechanism: 'onerror', handled: false}});
  const frames = [...String(error.data.stack).matchAll(/at (\w+) \((.*?):(\d+):(\d+)\)/g)].map(([, name, file, line, column]) => ({name, file, line: Number(line), column: Number(column)}));
  expect(frames.map(({name}) => name)).toEqual(['payment', 'checkout']);
  expect(frames[0]).toMatchObject({file: `${scene.origin}/visit-1.js`, line: error.data.line, column: error.data.column});
  expect(error.data.source).toBe(`${scene.origin}/visit-1.js`);
  expect(error.data.causes).toMatchObject([
    {name: 'Error', message: 'bad answer', stack: expect.stringContaining('at payment')},
    {name: 'SyntaxError', message: expect.stringContaining('JSON'), stack: expect.stringContaining('JSON.parse')},
  ]);
  expect(error.data.causes).toHaveLength(2);
  expect(error.fingerprint).toMatch(/^[0-9a-f]{16}$/);

  expect(aggregate).toMatchObject({
    name: 'AggregateError',
    message: 'All promises were rejected',
    data: {mechanism: 'onunhandledrejection', errors: [{name: 'RangeError', message: 'first', stack: expect.any(String)}, {message: 'second'}]},
  });
  expect(visit.problems).toHaveLength(2);
});

test('whatever is thrown or rejected with is told, and the page notices nothing else', async () => {
  const visit = await scene.visit({
    script: `${start('errors()')}
      const revoked = () => { const {proxy, revoke} = Proxy.revocable({}, {}); revoke(); return proxy; };
      const circle = {}; circle.self = circle;
      const liar = Object.defineProperty(new Error('x'), 'message', {get() { throw new Error('no'); }});
      const frozen = Object.freeze(new RangeError('frozen'));
      const own = Object.assign(Object.create(Object.freeze({name: 'Frozen'})), {message: 'by prototype'});
      const looped = new Error('looped'); looped.cause = looped;
      const values = ['a text', 42, undefined, null, 10n, Symbol('s'), {code: 7, id: 1n}, new DOMException('gone', 'NotFoundError'), frozen, own, looped, circle, liar, revoked(),
        new Proxy(new Error('x'), {get() { throw 1; }, getPrototypeOf() { throw 1; }, ownKeys() { throw 1; }})];
      for (const value of values) {
        setTimeout(() => { throw value; });
        setTimeout(() => void Promise.reject(value));
      }
      setTimeout(() => void Promise.reject(new Event('error')));
      setTimeout(() => void Promise.reject(new CustomEvent('failed')));`,
  });
  await scene.events(visit, {count: 20, settle: 500});
  await visit.leave();
  const events = await scene.events(visit, {count: 30});
  const thrown = events.filter(({data}) => data.mechanism === 'onerror').map(brief);
  const rejected = events.filter(({data}) => data.mechanism === 'onunhandledrejection').map(brief);

  const same: [string, string][] = [
    ['NotFoundError', 'gone'],
    ['RangeError', 'frozen'],
    ['Frozen', 'by prototype'],
    ['Error', 'looped'],
  ];
  const nameless = ['a text', '42', '10', 'Symbol(s)', '{"code":7,"id":"1"}', '{"self":"[circular]"}', '[unreadable]', '[unreadable]', '[unreadable]'];
  const named = (name: string, messages: string[]): [string, string][] => messages.map((message) => [name, message]);
  expect(thrown.sort(byText)).toEqual([...same, ...named('Error', [...nameless, 'Uncaught undefined', 'Uncaught null'])].sort(byText));
  // One of the unreadable ones has a name. Of the others, which have no place, the last one is a repeat of the first.
  expect(rejected.sort(byText)).toEqual(
    [...same, ...named('Error', ['[unreadable]']), ...named('UnhandledRejection', [...nameless.slice(0, -1), 'undefined', 'null', 'Event: error', 'Event: failed'])].sort(byText),
  );
  expect(await counted(visit, 'UnhandledRejection')).toBe(nameless.length + 3);
  expect(events.find(({message}) => message === 'looped')!.data.causes).toHaveLength(5);
});

test('of a script of another origin the browser tells nothing, and that is what arrives', async () => {
  scene.routes['/foreign.js'] = {body: 'throw new Error("a secret of the other origin");'};
  scene.routes['/shared.js'] = {body: 'throw new Error("shared");', headers: {'access-control-allow-origin': '*'}};
  const visit = await scene.visit({
    script: start('errors()'),
    body: `<script src="${scene.otherOrigin}/foreign.js"></script><script crossorigin src="${scene.otherOrigin}/shared.js"></script>`,
  });
  await visit.leave();
  const events = await scene.events(visit, {count: 2});
  expect(events.map(brief)).toEqual([['Error', 'Script error.'], ['Error', 'shared']]);
  expect(events[0]!.data.stack).toBeUndefined();
  expect(events[1]!.data).toMatchObject({source: `${scene.otherOrigin}/shared.js`, line: 1, stack: expect.stringContaining(`${scene.otherOrigin}/shared.js:1:7`)});
});

test('an error that is reported and thrown on is told once', async () => {
  const visit = await scene.visit({
    script: `import {captureException} from '../../src/api.js';
      import {current} from '../../src/current.js';
      ${start('errors()')}
      current._client = client;
      setTimeout(() => { try { throw new Error('once'); } catch (error) { captureException(error); throw error; } });
      setTimeout(() => void Promise.reject().catch(() => { const error = new Error('once more'); captureException(error); throw error; }));`,
  });
  await visit.leave();
  const events = await scene.events(visit, {count: 2});
  expect(events.map(({message, data}) => [message, data.mechanism]).sort()).toEqual([['once', 'manual'], ['once more', 'manual']].sort());
});

test('however often an error is thrown, what is counted is how often it was', async () => {
  const visit = await scene.visit({
    script: `${start('errors()')}
      let left = 137;
      function again() { if (--left > 0) setTimeout(again); throw new TypeError('again'); }
      again();`,
  });
  // The first is there before the page is left.
  await scene.events(visit, {count: 1, settle: 300});
  await visit.page.waitForTimeout(1500);
  await visit.leave();
  const events = await scene.events(visit, {count: 2});
  expect(visit.problems).toHaveLength(137);
  // Called by the script, the first has another stack than those which the timer called.
  expect(events.map(({weight = 1, data}) => [weight, data.folded ?? false])).toEqual([[1, false], [1, false], [135, true]]);
  expect(new Set(events.map(({page}) => page)).size).toBe(1);
  expect(await counted(visit, 'TypeError')).toBe(137);
});

test('repeats belong to the page view on which they were', async () => {
  const visit = await scene.visit({
    script: `${start('errors()')}
      const error = new Error('same');
      const raise = (times) => { for (let i = 0; i < times; i++) void Promise.reject(error); };
      raise(3);
      setTimeout(() => { history.pushState(null, '', '/second'); client.startPage(''); raise(5); }, 50);`,
  });
  await visit.page.waitForTimeout(500);
  await visit.leave();
  const events = await scene.events(visit, {count: 4});
  const urls = events.map(({url, attributes: _, data}) => [new URL(url).pathname, data.folded ?? false]);
  expect(urls.sort()).toEqual([[new URL(visit.url).pathname, false], [new URL(visit.url).pathname, true], ['/second', false], ['/second', true]].sort());
  expect(await counted(visit, 'Error')).toBe(8);
});

test('what could not be loaded is named by its address', async () => {
  const visit = await scene.visit({
    script: start('errors()', 'resourceErrors()'),
    body: `<div id="gallery"><img src="/no.png?token=hunter2"><img src=""><video src="/no.mp4"></video><audio><source src="/no.ogg"></audio>
      <svg><image href="/no.svg"></image></svg><link rel="stylesheet" href="/no.css"><script src="/no.js"></script></div>
      <script>for (let i = 0; i < 4; i++) setTimeout(() => document.body.append(Object.assign(new Image(), {src: '/again.png'})), i * 50);</script>`,
  });
  await visit.page.waitForTimeout(800);
  await visit.leave();
  const events = await scene.events(visit, {count: 8});
  const targets = events.filter(({data}) => !data.folded).map(({target}) => target.replace(scene.origin, ''));
  expect(targets.sort()).toEqual(['/again.png', '/no.css', '/no.js', '/no.mp4', '/no.ogg', '/no.png', '/no.svg']);
  expect(events.find(({target}) => target.endsWith('/no.png'))).toMatchObject({
    kind: 'error',
    name: 'ResourceError',
    message: `<img> could not be loaded: ${scene.origin}/no.png`,
    data: {mechanism: 'resource', handled: false, source: `${scene.origin}/no.png?token=[scrubbed]`, element: '#gallery > img'},
  });
  expect(await counted(visit, 'ResourceError')).toBe(10);
});

test('the console is captured, and says what it would have said', async () => {
  const visit = await scene.visit({
    script: `${start('errors()', 'breadcrumbs()', "consoleCapture({levels: ['error', 'warn']})")}
      console.log('adding', {id: 7});
      console.warn('low stock');
      for (let i = 0; i < 20; i++) console.error('no price:', new RangeError('below zero'));
      client.captureException(new Error('last'));`,
  });
  await visit.leave();
  // As they were queued: several of them may have the same time, and the repeats that of the last one.
  const events = (await scene.events(visit, {count: 4})).sort((one, next) => one.seq - next.seq);
  expect(events.map(({kind, name, attributes}) => [kind, name, attributes['level']])).toEqual([
    ['console', 'warning', 'warning'],
    ['console', 'error', 'error'],
    ['error', 'Error', undefined],
    ['console', 'error', 'error'],
  ]);
  expect(events[1]!.data).toMatchObject({message: 'no price: RangeError: below zero', name: 'RangeError', stack: expect.stringContaining('/visit-')});
  expect(events[2]!.data.breadcrumbs.slice(0, 2)).toMatchObject([
    {category: 'console', level: 'info', message: 'adding {"id":7}'},
    {category: 'console', level: 'warning', message: 'low stock'},
  ]);
  expect(await counted(visit, 'error')).toBe(20);
  expect(visit.console).toHaveLength(22);
  expect(visit.console.slice(0, 2)).toEqual(['log: adding {id: 7}', 'warning: low stock']);
});

test('violations of the Content Security Policy and reports of the browser are told once each', async () => {
  const visit = await scene.visit({
    script: start('reports()'),
    headers: {'content-security-policy': `img-src 'self'; script-src 'self'; report-uri /nowhere`},
    body: `<img src="${scene.otherOrigin}/a.png?token=hunter2"><img src="data:image/png;base64,AAAA"><script>alert(1)</script><p onclick="x()">`,
  });
  await visit.page.waitForTimeout(500);
  await visit.leave();
  const events = await scene.events(visit, {count: 4});
  const found = events.filter(({kind}) => kind === 'csp').map(({name, target}) => [name, target]);
  expect(found.sort()).toEqual(
    [
      ['img-src', `${scene.otherOrigin}/a.png`],
      ['img-src', 'data'],
      ['script-src-attr', 'inline'],
      ['script-src-elem', 'inline'],
    ].sort(),
  );
  expect(events.find(({target}) => target === 'data')!.data).toMatchObject({document_url: visit.url, disposition: 'enforce'});
  expect(events.filter(({name}) => name === 'csp-violation')).toEqual([]);
});

test('a deprecation is a report, although it was before the SDK', async () => {
  const head = `<script>const early = new XMLHttpRequest(); early.open('GET', '/', false); early.send();</script>`;
  const visit = await scene.visit({
    head,
    script: start('reports()'),
  });
  await visit.page.waitForTimeout(1000);
  await visit.leave();
  const events = await scene.events(visit, {count: 1, timeout: 6_000});
  expect(events.every(({kind, data}) => kind === 'report' && data.message)).toBe(true);
  // Which interfaces are on their way out changes with the browser: what its observers are told must be here.
  const {page} = await scene.visit({head});
  const told = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const observer = new ReportingObserver((reports) => resolve(reports.map(({type, body}) => [type, (body as {message?: string} | null)?.message])), {buffered: true});
        observer.observe();
        setTimeout(resolve, 1_000, []);
      }),
  );
  expect(events.map(({name, data}) => [name, data.message])).toEqual(told);
});

test('a page that stays blank is told once; one with a picture, or a text, or late contents is none', async () => {
  const blank = start(`blankScreen({root: '#app', after: 400})`);
  const shown: [string, number][] = [
    ['<div id="app" style="height:100vh"></div>', 1],
    ['<div id="app"><h1>Shop</h1></div>', 0],
    ['<div id="app"><canvas style="width:100%;height:100vh"></canvas></div>', 0],
    ['<div id="app"></div><script>setTimeout(() => { document.getElementById("app").textContent = "late"; }, 600);</script>', 0],
  ];
  const visits = [];
  for (const [body] of shown) {
    const visit = await scene.visit({script: blank, body});
    await visit.page.waitForTimeout(2000);
    await visit.leave();
    visits.push(visit);
  }
  for (const [index, [, expected]] of shown.entries()) {
    const events = await scene.events(visits[index]!, {count: expected, settle: 500});
    expect(events.map(({kind, name, data}) => [kind, name, data.viewport])).toEqual(expected ? [['blank_screen', 'blank_screen', expect.stringMatching(/^\d+x\d+$/)]] : []);
  }
});

test('what a filter drops is counted and not stored', async () => {
  scene.routes['/vendor.js'] = {body: 'throw new Error("of others");'};
  const visit = await scene.visit({
    script: `${start(`filters({ignoreErrors: [/^RangeError/], denyUrls: ['/vendor.js']})`, 'errors()')}
      for (let i = 0; i < 3; i++) setTimeout(() => { throw new RangeError('unwanted'); });
      setTimeout(() => { globalThis.thrown = true; throw new TypeError('wanted'); });`,
    body: '<script src="/vendor.js"></script>',
  });
  const thrown = () => visit.page.waitForFunction('globalThis.thrown');
  await thrown();
  await visit.page.reload();
  await thrown();
  await visit.leave();
  const events = await scene.events(visit, {count: 2});
  expect(events.map(brief)).toEqual([['TypeError', 'wanted'], ['TypeError', 'wanted']]);
  // An envelope whose answer was not awaited is sent again and says the same again; of either, the first may not have come through.
  const told = new Map(scene.sent(visit).map(({envelope: {events: [first], discarded = []}}) => [first?.id, discarded]));
  const filtered = [...told.values()].flat().filter(({reason, kind}: any) => reason === 'filtered' && kind === 'error');
  expect(filtered.reduce((sum: number, {count}: any) => sum + count, 0)).toBe(8);
});
