import {createHash} from 'node:crypto';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import {startScene, type PageRequest, type Scene, type StoredEvent, type Visit} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.stop());
beforeEach(() => {
  scene.requests.length = 0;
});

/** What the browser itself says of a request that failed is the page's business. */
const ours = (visit: Visit): string[] => visit.console.filter((line) => !/Failed to load resource|blocked by CORS policy|has been blocked/.test(line));

const page = (options = '{}'): {script: string} => ({
  script: `
    import {businessCode} from '../../src/businessCode.js';
    import {requests} from '../../src/integrations/requests.js';
    import {traceparent} from '../../src/traceparent.js';
    import {start} from '../../src/start.js';
    const {fetch: nativeFetch} = globalThis;
    const client = start({dsn: MONITOR_DSN, release: RELEASE, integrations: [requests(${options})]});
    Object.assign(globalThis, {
      client, nativeFetch, ORIGIN, OTHER: OTHER_ORIGIN,
      xhr: (method, url, {body, ...settings} = {}, act) => new Promise((resolve) => {
        const xhr = new XMLHttpRequest();
        const events = [];
        for (const type of ['load', 'error', 'abort', 'timeout']) xhr.addEventListener(type, () => events.push(type));
        xhr.onloadend = () => setTimeout(() => resolve({events, status: xhr.status, response: xhr.response}));
        xhr.open(method, url);
        Object.assign(xhr, settings);
        xhr.send(body);
        act?.(xhr);
      }),
    });`,
});

/** Runs in the page; its globals are those of the script above. */
const run = <Value>(visit: Visit, action: string): Promise<Value> => visit.page.evaluate(`(async () => { ${action} })()`) as Promise<Value>;

const brief = ({name, method, status, target, failure}: StoredEvent): string =>
  [name, method, status, target.replace(scene.origin, '').replace(scene.otherOrigin, 'other'), failure].filter(Boolean).join(' ');

/** Collects what a page uploads. */
const uploads = new Map<string, Buffer>();
function upload(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    uploads.set(request.url!, Buffer.concat(chunks));
    response.writeHead(200, {'content-type': 'application/json', 'access-control-allow-origin': '*'}).end('{"ok":true}');
  });
}

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('fetch: how it ended, how long it took, how large it was, and no secret', async () => {
  scene.routes['/api/cart'] = {body: '{"items":[]}', headers: {'content-type': 'application/json', 'content-length': '12'}, delay: 150};
  scene.routes['/api/broken'] = {status: 500, body: 'no'};
  scene.routes['/api/slow'] = {body: 'late', delay: 3_000};
  scene.routes['/api/closed'] = (request) => void request.socket.destroy();
  scene.routes['/api/private'] = {body: 'not for other origins'};
  const visit = await scene.visit(page());
  const seen = await run(visit, `
    const failure = (promise) => promise.then(() => 'fine', (error) => error.name);
    const results = [];
    const body = await fetch('/api/cart?token=hunter2&step=2', {method: 'post', body: 'é😀'}).then((response) => response.json());
    results.push(JSON.stringify(body), (await fetch('/api/broken')).status);
    results.push(await failure(fetch('/api/slow', {signal: AbortSignal.timeout(100)})));
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    results.push(await failure(fetch(new Request('/api/slow', {signal: abort.signal}))));
    const custom = new AbortController();
    setTimeout(() => custom.abort('enough'), 50);
    results.push(await fetch('/api/slow', {signal: custom.signal}).catch((reason) => reason));
    results.push(await failure(fetch('/api/closed')));
    results.push(await failure(fetch(OTHER + '/api/private')));
    results.push((await fetch(OTHER + '/api/private', {mode: 'no-cors'})).type);
    return results;`);
  expect(seen).toEqual(['{"items":[]}', 500, 'TimeoutError', 'AbortError', 'enough', 'TypeError', 'TypeError', 'opaque']);
  await visit.leave();

  const events = await scene.events(visit, {count: 8});
  expect(events.map(brief)).toEqual([
    'fetch POST 200 /api/cart',
    'fetch GET 500 /api/broken http',
    'fetch GET /api/slow timeout',
    'fetch GET /api/slow abort',
    'fetch GET /api/slow abort',
    'fetch GET /api/closed network',
    'fetch GET other/api/private network',
    'fetch GET other/api/private',
  ]);
  expect(events.every(({kind}) => kind === 'request')).toBe(true);
  const [cart] = events;
  expect(cart!.value).toBeGreaterThanOrEqual(149);
  expect(cart!.value).toBeLessThan(2_000);
  expect(cart!.data).toEqual({url: `${scene.origin}/api/cart?token=[scrubbed]&step=2`, request_size: 6, response_size: 12});
  expect(JSON.stringify(scene.sent(visit))).not.toContain('hunter2');
  expect([visit.problems, ours(visit)]).toEqual([[], []]);
});

test('XMLHttpRequest: load, error, abort, timeout, again on the same object, and synchronous', async () => {
  scene.routes['/api/text'] = {body: 'é😀', delay: 100};
  scene.routes['/api/missing'] = {status: 404, body: 'gone'};
  scene.routes['/api/slow'] = {body: 'late', delay: 3_000};
  scene.routes['/api/closed'] = (request) => void request.socket.destroy();
  const visit = await scene.visit(page());
  const seen = await run(visit, `
    const results = [];
    const add = ({events, status, response}) => results.push([...events, status, response]);
    add(await xhr('post', '/api/text?password=hunter2', {body: new Blob(['12345'])}));
    add(await xhr('GET', '/api/missing'));
    add(await xhr('GET', '/api/closed'));
    add(await xhr('GET', '/api/slow', {timeout: 100}));
    add(await xhr('GET', '/api/slow', {}, (request) => setTimeout(() => request.abort(), 50)));
    const again = new XMLHttpRequest();
    const send = (path) => new Promise((resolve) => {
      again.onload = () => resolve(again.responseText);
      again.open('GET', path);
      again.send();
    });
    results.push([await send('/api/text?1'), await send('/api/text?2')]);
    // Opened again by its own handler, and while it is on its way.
    await new Promise((resolve) => {
      const chained = new XMLHttpRequest();
      chained.onload = () => {
        chained.onload = resolve;
        chained.open('GET', '/api/missing?chained');
        chained.send();
      };
      chained.open('GET', '/api/text?chain');
      chained.send();
    });
    // Two events of one millisecond have no order.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => {
      const hasty = new XMLHttpRequest();
      hasty.open('GET', '/api/slow?given-up');
      hasty.send();
      hasty.open('GET', '/api/text?instead');
      hasty.onload = resolve;
      hasty.send();
    });
    const sync = new XMLHttpRequest();
    sync.open('GET', '/api/text?sync', false);
    sync.send();
    results.push([sync.status, sync.responseText]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    sync.open('GET', '/api/closed?sync', false);
    try { sync.send(); } catch (error) { results.push([error.name]); }
    try { sync.send(); } catch (error) { results.push([error.name]); }
    const unopened = new XMLHttpRequest();
    try { unopened.send(); } catch (error) { results.push([error.name]); }
    const unsent = new XMLHttpRequest();
    unsent.open('GET', '/api/text?unsent');
    const patient = new XMLHttpRequest();
    patient.open('GET', '/api/missing?patient');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await new Promise((resolve) => {
      patient.onload = resolve;
      patient.send('left out');
    });
    return results;`);
  expect(seen).toEqual([
    ['load', 200, 'é😀'],
    ['load', 404, 'gone'],
    ['error', 0, ''],
    ['timeout', 0, ''],
    ['abort', 0, ''],
    ['é😀', 'é😀'],
    [200, 'é😀'],
    ['NetworkError'],
    ['InvalidStateError'],
    ['InvalidStateError'],
  ]);
  await visit.leave();

  const events = await scene.events(visit, {count: 13});
  expect(events.map((event) => `${brief(event)} ${new URL(event.data.url).search}`.trim())).toEqual([
    'xhr POST 200 /api/text ?password=[scrubbed]',
    'xhr GET 404 /api/missing http',
    'xhr GET /api/closed network',
    'xhr GET /api/slow timeout',
    'xhr GET /api/slow abort',
    'xhr GET 200 /api/text ?1',
    'xhr GET 200 /api/text ?2',
    'xhr GET 200 /api/text ?chain',
    'xhr GET 404 /api/missing http ?chained',
    'xhr GET 200 /api/text ?instead',
    'xhr GET 200 /api/text ?sync',
    'xhr GET /api/closed network ?sync',
    'xhr GET 404 /api/missing http ?patient',
  ]);
  expect(events[0]!.data).toMatchObject({request_size: 5, response_size: 6});
  expect(events[0]!.value).toBeGreaterThanOrEqual(99);
  // From `send`, not from `open`; the body of a GET is not sent.
  expect(events.at(-1)!.value).toBeLessThan(1_000);
  expect(events.at(-1)!.data).not.toHaveProperty('request_size');
  expect(visit.problems).toEqual([]);
});

test('bodies, streamed ones too, arrive byte for byte, with and without everything switched on', async () => {
  scene.routes['/upload'] = upload;
  const file = Buffer.from(Array.from({length: 3_000_000}, (_, i) => (i * 7 + (i >> 8)) & 255));
  scene.routes['/download'] = (_request, response) => {
    response.writeHead(200, {'content-type': 'application/json'});
    for (let at = 0; at < file.length; at += 100_000) response.write(file.subarray(at, at + 100_000));
    response.end();
  };
  for (const options of ['{}', '{onRequest: traceparent(true), onAnswer: businessCode(() => undefined)}']) {
    uploads.clear();
    const visit = await scene.visit(page(options));
    const seen = await run(visit, `
      const bytes = new Uint8Array(1_000_000).map((_, i) => (i * 3) & 255);
      const form = new FormData();
      form.append('a', 'é😀');
      const post = (name, body) => fetch('/upload?' + name, {method: 'POST', body}).then((response) => response.text());
      await post('bytes', bytes);
      await post('blob', new Blob([bytes]));
      await post('params', new URLSearchParams({a: 'é'}));
      const request = new Request('/upload?request', {method: 'PUT', body: new Blob([bytes]).stream(), duplex: 'half'});
      // Streams need HTTP/2, in Chromium; the refusal has to be the same.
      const streamed = await fetch(request).then(() => 'sent', (error) => error.name);
      const native = await nativeFetch(new Request('/upload?request', {method: 'PUT', body: new Blob([bytes]).stream(), duplex: 'half'})).then(() => 'sent', (error) => error.name);
      const text = new Request('/upload?text', {method: 'PUT', body: 'é😀', headers: {'x-own': 'kept'}, referrerPolicy: 'no-referrer'});
      await fetch(text);
      const response = await fetch('/download');
      const used = response.bodyUsed;
      const chunks = [];
      for (const reader = response.body.getReader(); ; ) {
        const {done, value} = await reader.read();
        if (done) break;
        chunks.push(value);
      }
      const digest = await crypto.subtle.digest('SHA-256', await new Blob(chunks).arrayBuffer());
      return {same: streamed === native, textUsed: text.bodyUsed, used, sha: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')};`);
    expect(seen).toEqual({same: true, textUsed: true, used: false, sha: sha(file)});
    const bytes = Buffer.from(Array.from({length: 1_000_000}, (_, i) => (i * 3) & 255));
    expect(sha(uploads.get('/upload?bytes')!)).toBe(sha(bytes));
    expect(sha(uploads.get('/upload?blob')!)).toBe(sha(bytes));
    expect(String(uploads.get('/upload?params'))).toBe('a=%C3%A9');
    expect(String(uploads.get('/upload?text'))).toBe('é😀');
    const text = scene.requests.filter(({url}) => url === '/upload?text').at(-1)!;
    expect([text.headers['x-own'], text.headers.referer, text.headers['content-type'], text.headers['content-length']]).toEqual(['kept', undefined, 'text/plain;charset=UTF-8', '6']);
    await visit.leave();
    const events = await scene.events(visit, {count: 6});
    expect(events.map(brief)).toEqual([
      'fetch POST 200 /upload',
      'fetch POST 200 /upload',
      'fetch POST 200 /upload',
      'fetch PUT /upload network',
      'fetch PUT 200 /upload',
      'fetch GET 200 /download',
    ]);
    expect(events.map(({data}) => data.request_size)).toEqual([1_000_000, 1_000_000, 8, undefined, undefined, undefined]);
    expect(visit.problems).toEqual([]);
  }
});

test('traceparent arrives with the requests it is for, and costs the others nothing', async () => {
  const anyone = {'access-control-allow-origin': '*', 'access-control-allow-headers': '*'};
  scene.routes['/api/a'] = {body: '{}', headers: anyone};
  scene.routes['/api/b'] = {body: '{}', headers: anyone};
  scene.routes['/asset'] = {body: '{}', headers: anyone};
  const visit = await scene.visit(page('{onRequest: traceparent([ORIGIN + "/api/", OTHER_ORIGIN + "/api/b"])}'));
  await run(visit, `
    await fetch('/api/a', {headers: new Headers({'x-own': '1'})});
    await fetch('/api/a', {headers: [['x-own', '2']]});
    await fetch('/api/a', {headers: {'x-own': '3'}});
    await fetch(new Request('/api/a', {headers: {'x-own': '4'}}));
    await fetch(OTHER + '/api/a');
    await fetch(OTHER + '/api/b');
    await fetch('/asset');
    await xhr('GET', '/api/a');
    await xhr('GET', OTHER + '/api/a');
    await xhr('GET', '/asset');`);
  await visit.leave();
  const events = await scene.events(visit, {count: 10});
  const mine = scene.requests.filter(({url}) => /^\/(api|asset)/.test(url));
  const shown = ({origin, method, url, headers}: PageRequest): unknown[] => [method, (origin === scene.origin ? '' : 'other') + url, headers['x-own'], !!headers['traceparent']];
  expect(mine.map(shown)).toEqual([
    ['GET', '/api/a', '1', true],
    ['GET', '/api/a', '2', true],
    ['GET', '/api/a', '3', true],
    ['GET', '/api/a', '4', true],
    ['GET', 'other/api/a', undefined, false],
    ['OPTIONS', 'other/api/b', undefined, false],
    ['GET', 'other/api/b', undefined, true],
    ['GET', '/asset', undefined, false],
    ['GET', '/api/a', undefined, true],
    ['GET', 'other/api/a', undefined, false],
    ['GET', '/asset', undefined, false],
  ]);
  const marked = mine.filter(({headers}) => headers['traceparent']).map(({headers}) => headers['traceparent'] as string);
  for (const header of marked) expect(header).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(events.flatMap(({data}) => data.trace_id ?? [])).toEqual(marked.map((header) => header.slice(3, 35)));
  expect(new Set(marked).size).toBe(6);
  expect(visit.problems).toEqual([]);
});

test('businessCode reads JSON, compressed or without a length too, and the page reads it as ever', async () => {
  scene.routes['/api/order'] = (_request, response) => {
    // No length: in pieces, so that the end of the body is later than the headers.
    response.writeHead(200, {'content-type': 'application/json'}).write('{"code":');
    setTimeout(() => response.end('4001,"text":"é😀"}'), 200);
  };
  scene.routes['/api/fine'] = {body: '{"code":0}', headers: {'content-type': 'application/json'}};
  scene.routes['/api/refused'] = {status: 422, body: '{"code":7}', headers: {'content-type': 'application/problem+json'}};
  scene.routes['/page.html'] = {body: '{"code":9}'};
  const visit = await scene.visit(page('{onAnswer: businessCode(({body}) => body?.code || undefined)}'));
  const seen = await run(visit, `
    const order = await fetch('/api/order');
    const text = await order.text();
    await fetch('/api/fine');
    await fetch('/api/refused');
    await fetch('/page.html');
    await xhr('GET', '/api/order?1');
    await xhr('GET', '/api/order?2', {responseType: 'json'});
    return text;`);
  expect(seen).toBe('{"code":4001,"text":"é😀"}');
  await visit.page.waitForTimeout(300);
  await visit.leave();
  const events = await scene.events(visit, {count: 6});
  expect(events.map((event) => [brief(event), event.data.code])).toEqual([
    ['fetch GET 200 /api/order business', 4001],
    ['fetch GET 200 /api/fine', undefined],
    ['fetch GET 422 /api/refused http', 7],
    ['fetch GET 200 /page.html', undefined],
    ['xhr GET 200 /api/order business', 4001],
    ['xhr GET 200 /api/order business', 4001],
  ]);
  // The headers came at once.
  expect(events[0]!.value).toBeLessThan(180);
  expect([visit.problems, ours(visit)]).toEqual([[], []]);
});

test('what the page did not catch stays uncaught, what is ignored and what is ours is not captured, and closing undoes all', async () => {
  scene.routes['/health'] = {body: 'ok'};
  scene.routes['/api/closed'] = (request) => void request.socket.destroy();
  const visit = await scene.visit(page('{ignore: ["/health"]}'));
  const seen = await run(visit, `
    const unhandled = new Promise((resolve) => addEventListener('unhandledrejection', (event) => resolve(event.reason.name)));
    fetch('/api/closed');
    const reason = await unhandled;
    await fetch('/health');
    await xhr('GET', '/health');
    await client.flush();
    await fetch(client.endpoint, {method: 'POST', body: '{"v":1,"events":[]}'});
    const patched = fetch !== nativeFetch;
    await client.close();
    return [reason, patched, fetch === nativeFetch, XMLHttpRequest.prototype.open.toString()];`);
  expect(seen).toEqual(['TypeError', true, true, 'function open() { [native code] }']);
  expect((await scene.events(visit, {count: 1})).map(brief)).toEqual(['fetch GET /api/closed network']);
});

test('what is still on its way when the page is left is no failure of the network', async () => {
  scene.routes['/api/slow'] = {body: 'late', delay: 2_000};
  scene.routes['/next'] = '<!doctype html><title>Next</title>';
  const visit = await scene.visit(page());
  await run(visit, `fetch('/api/slow?fetch').catch(() => {}); void xhr('GET', '/api/slow?xhr');`);
  await visit.page.goto(`${scene.origin}/next`);
  const events = await scene.events(visit, {count: 1, timeout: 3_000});
  expect(events.filter(({failure}) => failure !== 'abort').map(brief)).toEqual([]);
});
