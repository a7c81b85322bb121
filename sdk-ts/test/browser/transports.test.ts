import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import {startScene, type Scene, type Visit} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.stop());
beforeEach(() => scene.faults.heal());

/** A page with the bare transports. `via(name, body, leaving)` sends and gives the answer, or 'refused'. */
async function visit(): Promise<Visit> {
  return scene.visit({
    script: `
      import {gzip} from '../../src/transport/gzip.js';
      import {imageTransport} from '../../src/transport/image.js';
      import {webSocketTransport} from '../../src/transport/webSocket.js';
      import {xhrTransport} from '../../src/transport/xhr.js';
      const endpoint = MONITOR_DSN.replace(/demo-key@(.*)\\/shop/, '$1/api/shop/events?key=demo-key');
      const make = {xhr: xhrTransport, image: imageTransport, largeImage: imageTransport, socket: webSocketTransport};
      const made = {};
      const RECEIVER = ${JSON.stringify(scene.receiver)} + '/api/shop/events?key=demo-key';
      Object.assign(globalThis, {
        gzip, endpoint, RECEIVER, RELEASE,
        // The proxy in front of the receiver knows nothing of WebSockets, and of no addresses of 16 KB.
        via: async (name, body, leaving = false) => {
          const transport = (made[name] ??= make[name](['socket', 'largeImage'].includes(name) ? RECEIVER : endpoint));
          const answer = await transport(body, leaving);
          if (!answer) return 'refused';
          const {status, retryAfter, rejected} = answer;
          return {status, retryAfter: retryAfter ?? undefined, rejected};
        },
        envelope: (...names) => JSON.stringify({v: 1, sent_at: Date.now(), release: RELEASE, events: names.map((name) => ({kind: 'track', name}))}),
        // Of another release: the scene would count the second as a fault of this test.
        halfBad: () => envelope('good', 'bad').replace('"release":"', '"release":"other-').replace('"track","name":"bad"', '"NOT A KIND","name":"bad"'),
        until: async (condition) => {
          for (let i = 0; i < 200 && !(await condition()); i++) await new Promise((resolve) => setTimeout(resolve, 50));
        },
      });`,
  });
}
const run = <Value>(visit: Visit, action: string): Promise<Value> => visit.page.evaluate(`(async () => { ${action} })()`) as Promise<Value>;
const names = async (visit: Visit, count: number): Promise<string[]> => (await scene.events(visit, {count})).map(({name}) => name).sort();
const preflights = (): unknown[] => scene.envelopes.filter(({method}) => method === 'OPTIONS');

test('XMLHttpRequest: taken, rejected, too large, asked to wait, no answer', async () => {
  const page = await visit();
  expect(await run(page, `return via('xhr', envelope('é😀'));`)).toEqual({status: 202, rejected: []});
  expect(await run(page, `return via('xhr', halfBad());`)).toEqual({status: 202, rejected: [expect.objectContaining({index: 1})]});
  expect(await run(page, `return via('xhr', 'no envelope');`)).toEqual({status: 400});
  expect(await run(page, `return via('xhr', 'x'.repeat(1_100_000));`)).toEqual({status: 413});
  scene.faults.answer(429, {times: 1, headers: {'retry-after': '7'}});
  expect(await run(page, `return via('xhr', envelope('later'));`)).toEqual({status: 429, retryAfter: '7'});
  scene.faults.answer(503, {times: 1});
  expect(await run(page, `return via('xhr', envelope('later'));`)).toEqual({status: 503});
  // Chromium itself tries again once.
  scene.faults.reset();
  expect(await run(page, `return via('xhr', envelope('lost'));`)).toEqual({status: 0});
  scene.faults.heal();
  expect(await run(page, `return via('xhr', envelope('left'), true);`)).toBe('refused');
  expect(await names(page, 1)).toEqual(['é😀']);
  expect(preflights()).toEqual([]);
  expect(page.problems).toEqual([]);
  // A header that is not there, or that CORS hides, is not worth a line.
  expect(page.console.filter((line) => !line.includes('Failed to load resource'))).toEqual([]);
});

test('an image: taken, as large as it may be, no answer', async () => {
  const page = await visit();
  expect(await run(page, `return via('image', envelope('é😀 >>>???ÿ'));`)).toEqual({status: 202});
  const largest = await run<unknown[]>(page, `
    const big = (length) => envelope('big').replace('"v":1', '"v":1,"padding":"' + 'x'.repeat(length) + '"');
    let length = 13_000;
    for (; length > 0; length -= 10) {
      const answer = await via('largeImage', big(length));
      if (answer !== 'refused') return [length > 11_000, answer];
    }`);
  expect(largest).toEqual([true, {status: 202}]);
  // Chromium itself tries again once.
  scene.faults.reset();
  expect(await run(page, `return via('image', envelope('lost'));`)).toEqual({status: 0});
  scene.faults.heal();
  // Its answer is no picture.
  scene.faults.answer(503, {times: 1});
  expect(await run(page, `return via('image', envelope('lost'));`)).toEqual({status: 0});
  expect(await names(page, 2)).toEqual(['big', 'é😀 >>>???ÿ']);
  const [sent] = scene.envelopes.filter(({url}) => url.includes('pixel.gif'));
  expect([sent!.headers.referer, sent!.headers.cookie, sent!.headers.origin]).toEqual([`${scene.origin}/`, undefined, scene.origin]);
  expect(page.problems).toEqual([]);
});

test('an image that a page leaves behind arrives', async () => {
  const page = await visit();
  await run(page, `addEventListener('pagehide', () => void via('image', envelope('goodbye'), true));`);
  await page.leave();
  expect(await names(page, 1)).toEqual(['goodbye']);
});

test('a WebSocket: opened at the first send, answers in order, one connection', async () => {
  const page = await visit();
  const sockets: string[] = [];
  page.page.on('websocket', (socket) => sockets.push(socket.url()));
  expect(await run(page, `return via('socket', envelope('too early'));`)).toBe('refused');
  const answers = await run(page, `
    await until(async () => (await via('socket', 'no envelope')) !== 'refused');
    return Promise.all([via('socket', envelope('é😀')), via('socket', halfBad()), via('socket', '{'), via('socket', envelope('third')), via('socket', envelope('left'), true)]);`);
  expect(answers).toEqual([{status: 202, rejected: []}, {status: 202, rejected: [expect.objectContaining({index: 1})]}, {status: 400}, {status: 202, rejected: []}, 'refused']);
  expect(await names(page, 2)).toEqual(['third', 'é😀']);
  expect(sockets).toEqual([scene.receiver.replace('http', 'ws') + '/api/shop/ws?key=demo-key']);
  expect([page.problems, page.console]).toEqual([[], []]);
});

test('a WebSocket is opened again after the receiver was', async () => {
  const page = await visit();
  await run(page, `await until(async () => (await via('socket', envelope('before'))).status === 202);`);
  await scene.stopReceiver();
  const out = await run(page, `const answer = await via('socket', envelope('during')); return answer.status ?? answer;`);
  expect([0, 'refused']).toContain(out);
  expect(await run(page, `return via('socket', envelope('during'));`)).toBe('refused');
  await scene.startReceiver();
  // The pause of five minutes is over.
  await run(page, `
    const {now} = Date;
    Date.now = () => now() + 300_000;
    await via('socket', envelope('opens it'));
    Date.now = now;
    await until(async () => (await via('socket', envelope('after'))).status === 202);`);
  expect(await names(page, 2)).toEqual(['after', 'before']);
  expect(page.problems).toEqual([]);
});

test('a WebSocket does not keep the page out of the back/forward cache', async () => {
  const page = await visit();
  await run(page, `
    globalThis.alive = true;
    await until(async () => (await via('socket', envelope('before'))).status === 202);`);
  scene.routes['/next'] = '<!doctype html><title>Next</title>';
  await page.page.goto(`${scene.origin}/next`);
  await page.page.goBack({waitUntil: 'commit'});
  await page.page.waitForTimeout(200);
  expect(await run(page, `return globalThis.alive === true;`)).toBe(true);
  await run(page, `await until(async () => (await via('socket', envelope('restored'))).status === 202);`);
  expect(await names(page, 2)).toEqual(['before', 'restored']);
});

test('a compressed body is an envelope to the receiver, without a preflight', async () => {
  const page = await visit();
  const answer = await run(page, `
    const body = envelope('é😀', ...Array.from({length: 100}, (_, i) => 'packed ' + i));
    const packed = await gzip(body);
    const {status} = await fetch(endpoint + '&encoding=gzip', {method: 'POST', body: packed, credentials: 'omit'});
    return [status, packed.length < body.length / 3];`);
  expect(answer).toEqual([202, true]);
  expect(await names(page, 101)).toHaveLength(101);
  expect(preflights()).toEqual([]);
});
