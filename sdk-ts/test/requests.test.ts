import {afterEach, describe, expect, test, vi} from 'vitest';
import {businessCode, type Answered} from '../src/businessCode.js';
import {requests, type RequestsOptions} from '../src/integrations/requests.js';
import {traceparent} from '../src/traceparent.js';
import {scene, status, tearDown, type Scene} from './scene.js';

afterEach(tearDown);

const requestsOf = (set: Scene) => set.events().filter(({kind}) => kind === 'request');

/** A page whose native fetch is `native`; the SDK's own sends are told apart by their address. */
function page(native: (...args: any[]) => unknown, options?: RequestsOptions) {
  const set = scene({}, []);
  const own = set.network;
  const network = vi.fn((...args: any[]) => (String(args[0]).startsWith('https://monitor.example') ? own(...(args as [string, RequestInit])) : native(...args)));
  vi.stubGlobal('fetch', network);
  const undo = requests(options).setup(set.client) as () => void;
  return {...set, page: network, undo};
}

const json = (body: unknown, code = 200): Response =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), {status: code, headers: {'content-type': 'application/json; charset=utf-8'}});

/** Bodies, and how many bytes of them a server gets; undefined where that is not known before it is sent. */
const BODIES: [what: string, body: unknown, bytes: number | undefined][] = [
  ['a text', 'a\u00e9\u{1f600}', 7],
  ['a text with half a character', '\ud83d', 3],
  ['an empty text', '', undefined],
  ['a Blob', new Blob(['\u00e9', 'b']), 3],
  ['a File', new File([new Uint8Array(5)], 'a.bin'), 5],
  ['an ArrayBuffer', new ArrayBuffer(9), 9],
  ['a part of one', new Uint16Array(new ArrayBuffer(9), 2, 3), 6],
  ['a DataView', new DataView(new ArrayBuffer(9), 4), 5],
  ['parameters', new URLSearchParams({a: '\u00e9', b: '1 2'}), 14],
  ['a form', new FormData(), undefined],
  ['nothing', undefined, undefined],
  ['null', null, undefined],
  ['nonsense', {byteLength: 'much', slice: true, size: {}}, undefined],
];

describe('requests by fetch', () => {
  test('an answer: method, status, address without query, duration and size', async () => {
    const set = page(async () => {
      vi.setSystemTime(Date.now());
      await vi.advanceTimersByTimeAsync(120);
      return status(200, {'content-length': '17'});
    });
    await fetch('/api/cart?token=abc#x', {method: 'post', body: 'é'});
    await set.flush();
    expect(requestsOf(set)).toMatchObject([
      {
        kind: 'request',
        name: 'fetch',
        attributes: {method: 'POST', status: '200', target: `${location.origin}/api/cart`},
        data: {url: `${location.origin}/api/cart?token=[scrubbed]#x`, request_size: 2, response_size: 17},
      },
    ]);
    expect(requestsOf(set)[0]!.value).toBeGreaterThanOrEqual(119);
    expect(requestsOf(set)[0]!.attributes).not.toHaveProperty('failure');
  });

  test.each([
    ['an HTTP error', async () => status(500), {status: '500', failure: 'http'}],
    [
      'no network',
      async () => {
        throw new TypeError('Failed to fetch');
      },
      {status: '0', failure: 'network'},
    ],
    [
      'an abort',
      async () => {
        throw new DOMException('x', 'AbortError');
      },
      {status: '0', failure: 'abort'},
    ],
    [
      'a timeout',
      async () => {
        throw new DOMException('x', 'TimeoutError');
      },
      {status: '0', failure: 'timeout'},
    ],
  ])('%s', async (_, native, attributes) => {
    const set = page(native);
    await fetch('/x').catch(() => {});
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes}]);
  });

  test('an abort with a reason of its own is an abort', async () => {
    const abort = new AbortController();
    const set = page(async () => {
      abort.abort('because');
      throw 'because';
    });
    await expect(fetch('/x', {signal: abort.signal})).rejects.toBe('because');
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {failure: 'abort'}}]);
  });

  test.each<[string, unknown, number | undefined]>(BODIES)('the size of a body: %s', async (_, body, size) => {
    const set = page(async () => status(200));
    await fetch('/x', {method: 'POST', body: body as BodyInit});
    await set.flush();
    expect(requestsOf(set)[0]!.data['request_size']).toBe(size);
  });

  test('a stream, and the body of a Request, are not touched, and their size is not told', async () => {
    const set = page(async () => status(200));
    const pull = vi.fn();
    const stream = new ReadableStream({pull}, {highWaterMark: 0});
    const request = new Request('/x', {method: 'POST', body: 'text'});
    const read = vi.spyOn(Request.prototype, 'body', 'get');
    await fetch('/x', {method: 'POST', body: stream});
    await fetch(request);
    expect(read).not.toHaveBeenCalled();
    await set.flush();
    expect(requestsOf(set).map(({data}) => data['request_size'])).toEqual([undefined, undefined]);
    expect([stream.locked, pull.mock.calls.length, request.bodyUsed]).toEqual([false, 0, false]);
  });

  test('the page gets the very same answer, arguments, this and exception', async () => {
    const response = status(200);
    const failure = new TypeError('x');
    const native = vi.fn(async function (this: unknown, ...args: unknown[]) {
      if (args[0] === '/fail') throw failure;
      return response;
    });
    const set = page(native);
    const init = {headers: {a: 'b'}};
    expect(await fetch('/ok', init)).toBe(response);
    expect(native.mock.calls[0]).toEqual(['/ok', init]);
    expect(native.mock.calls[0]![1]).toBe(init);
    expect(response.bodyUsed).toBe(false);
    await expect(fetch('/fail')).rejects.toBe(failure);
    await (fetch as any).call(undefined);
    expect(native.mock.calls[2]).toEqual([]);
    set.undo();
  });

  test('an exception thrown at once stays one', () => {
    const failure = new Error('sync');
    page(() => {
      throw failure;
    });
    expect(() => fetch('/x')).toThrow(failure);
  });

  class Cancelable extends Promise<Response> {}
  test.each<[string, unknown]>([
    ['a promise with extras', Object.assign(Promise.resolve(status(200)), {cancel: () => {}})],
    ['a subclass of promise', Cancelable.resolve(status(200))],
    ['a thenable', {then: () => {}}],
    ['no promise', 5],
  ])('%s, of an older wrapper, is handed on as it is', (_, special) => {
    page(() => special);
    expect(fetch('/x')).toBe(special);
  });

  test('a mock that answers nonsense reaches the page unharmed', async () => {
    const set = page(async () => undefined);
    for (let i = 0; i < 5; i++) expect(await fetch('/x')).toBeUndefined();
    set.undo();
  });

  test('rejections that the page does not handle stay unhandled', async () => {
    const set = page(async () => {
      throw new TypeError('nobody handles this');
    });
    const unhandled = new Promise<unknown>((resolve) => process.once('unhandledRejection', resolve));
    void fetch('/x');
    vi.useRealTimers();
    expect(await unhandled).toMatchObject({message: 'nobody handles this'});
    vi.useFakeTimers();
    set.undo();
  });

  test('a Request object, a URL object and an invalid address are understood; what needs no network is not captured', async () => {
    const set = page(async () => status(200));
    await fetch(new Request('https://api.example/a?x', {method: 'PUT'}));
    await fetch(new URL('https://api.example/b'));
    await fetch('http://[broken');
    await fetch('data:text/plain,secret');
    await fetch('blob:https://api.example/c');
    await set.flush();
    expect(requestsOf(set).map(({attributes}) => [attributes!['method'], attributes!['target']])).toEqual([
      ['PUT', 'https://api.example/a'],
      ['GET', 'https://api.example/b'],
      ['GET', 'http://[broken'],
    ]);
    expect(JSON.stringify(set.events())).not.toContain('secret');
  });

  test('requests to the receiver and ignored ones are not captured', async () => {
    const set = page(async () => status(200), {ignore: ['/health', /\.map$/]});
    await fetch('https://monitor.example/api/shop/events?key=public', {method: 'POST', body: '{"events":[]}'});
    set.network.mockClear();
    await fetch('/health');
    await fetch('/a.map');
    await fetch('/seen');
    await set.flush();
    expect(requestsOf(set)).toHaveLength(1);
  });

  test('a request that a hook makes is not captured: it would never end', async () => {
    // A loop ends here, so that the test fails instead of running for ever.
    const native = vi.fn(() => (native.mock.calls.length > 50 ? new Promise<Response>(() => {}) : Promise.resolve(status(200))));
    const set = scene({
      beforeSend(event) {
        void fetch('/log');
        return event;
      },
    });
    const own = set.network;
    vi.stubGlobal('fetch', native);
    const stop = requests().setup(set.client) as () => void;
    set.client.capture({kind: 'track', name: 'e'});
    await vi.advanceTimersByTimeAsync(60_000);
    expect(native).toHaveBeenCalledTimes(1);
    expect(own).toHaveBeenCalledTimes(1);
    stop();
  });

  test('the request belongs to the page on which it began', async () => {
    const set = page(async () => {
      set.client.startPage('');
      return status(200);
    });
    const first = set.client.page.id;
    await fetch('/x');
    await set.flush();
    expect(set.envelopes()[0]!.page.id).toBe(first);
  });

  test('after undoing, fetch is what it was; a wrapper on top of ours keeps working', async () => {
    const set = page(async () => status(200));
    const ours = globalThis.fetch;
    set.undo();
    expect(globalThis.fetch).toBe(set.page);

    const again = page(async () => status(200));
    const theirs = vi.fn((...args: [any]) => ours(...args));
    globalThis.fetch = theirs as any;
    again.undo();
    expect(globalThis.fetch).toBe(theirs);
    await fetch('/x');
    await again.flush();
    expect(requestsOf(again)).toEqual([]);
  });

  test.each<[string, RequestsOptions['ignore'], string[]]>([
    ['a text', ['/b'], ['/a', '/c?a']],
    ['a pattern that remembers where it was', [/\/a$/g], ['/b', '/c?a']],
    ['a pattern that matches nothing at all', [/^(?!.*\/a)/], ['/a', '/c?a'].slice(0, 1)],
  ])('what is ignored can be told by %s', async (_, ignore, seen) => {
    const set = page(async () => status(200), {ignore: ignore!});
    for (let again = 0; again < 2; again++) for (const path of ['/a', '/b', '/c?a']) await fetch(path);
    await set.flush();
    expect(requestsOf(set).map(({data}) => data.url.replace(location.origin, ''))).toEqual([...seen, ...seen]);
  });

  test.each<[string, RequestsOptions]>([
    [
      'throws',
      {
        onRequest() {
          throw new Error('host');
        },
        onAnswer() {
          throw new Error('host');
        },
      },
    ],
    ['rejects', {onAnswer: () => Promise.reject(new Error('host'))}],
  ])('a hook that %s changes nothing', async (_, hooks) => {
    const set = page(async () => status(200), hooks);
    expect((await fetch('/x')).status).toBe(200);
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {status: '200'}}]);
  });

  test('what hooks add is captured, what they request is not', async () => {
    const set = page(async () => status(200), {
      onRequest({data, attributes}) {
        data['mark'] = 1;
        attributes['team'] = 'cart';
        void fetch('/hook');
      },
      async onAnswer({answer, data}) {
        void fetch('/hook');
        data['ok'] = (answer as Response).ok;
      },
    });
    await fetch('/x');
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {team: 'cart'}, data: {mark: 1, ok: true}}]);
  });

  test('a request that dies because the page is left is an abort; one that begins later is not', async () => {
    let fail = (): void => {};
    const set = page(() => new Promise((_, reject) => (fail = () => reject(new TypeError('Load failed')))));
    const first = fetch('/x');
    await vi.advanceTimersByTimeAsync(10);
    window.dispatchEvent(new Event('pagehide'));
    fail();
    await first.catch(() => {});
    await vi.advanceTimersByTimeAsync(10);
    const second = fetch('/x');
    fail();
    await second.catch(() => {});
    await set.flush();
    expect(requestsOf(set).map(({attributes}) => attributes!['failure'])).toEqual(['abort', 'network']);
  });
});

describe('businessCode', () => {
  const judged = async (native: () => unknown, failureOf: (answer: Answered) => unknown) => {
    const set = page(async () => native(), {onAnswer: businessCode(failureOf)});
    const response = (await fetch('/api?token=x')) as Response;
    await vi.advanceTimersByTimeAsync(10);
    await set.flush();
    const [event, ...others] = requestsOf(set);
    expect(others).toEqual([]);
    return {event: event!, response};
  };

  test('names a failure that HTTP calls fine; the page reads its answer as ever', async () => {
    const failureOf = vi.fn(({body}) => body.code || undefined);
    const {event, response} = await judged(() => json({code: 4001}), failureOf);
    expect(event).toMatchObject({attributes: {status: '200', failure: 'business'}, data: {code: 4001}});
    expect(failureOf).toHaveBeenCalledWith({url: `${location.origin}/api?token=x`, status: 200, body: {code: 4001}});
    expect(response.bodyUsed).toBe(false);
    expect(await response.json()).toEqual({code: 4001});
  });

  test.each<[string, (answer: Answered) => unknown]>([
    ['nothing', () => undefined],
    ['null', () => null],
    [
      'an exception',
      () => {
        throw new Error('host');
      },
    ],
    ['a rejection', () => Promise.reject(new Error('host'))],
  ])('%s is no failure', async (_, failureOf) => {
    const {event} = await judged(() => json({code: 4001}), failureOf);
    expect(event.attributes).not.toHaveProperty('failure');
    expect(event.data).not.toHaveProperty('code');
  });

  test('an answer that HTTP calls a failure stays one, with its code', async () => {
    const {event} = await judged(() => json({code: 7}, 422), async ({body}) => body.code);
    expect(event).toMatchObject({attributes: {status: '422', failure: 'http'}, data: {code: 7}});
  });

  test.each<[string, () => Response]>([
    ['a text', () => new Response('{"code":1}', {headers: {'content-type': 'text/plain'}})],
    ['lines of JSON, which may never end', () => new Response('{"code":1}', {headers: {'content-type': 'application/x-ndjson'}})],
    ['JSON that is long', () => json({code: 1, filler: 'x'.repeat(70_000)})],
    ['broken JSON', () => json('{"code":')],
    ['no body', () => new Response(null, {status: 204, headers: {'content-type': 'application/json'}})],
  ])('%s is not read', async (_, answer) => {
    const failureOf = vi.fn();
    await judged(answer, failureOf);
    expect(failureOf.mock.calls).toMatchObject([[{body: undefined}]]);
  });

  test('without it no body is cloned, and what is no JSON is never cloned', async () => {
    const clone = vi.spyOn(Response.prototype, 'clone');
    page(async () => json({}));
    await fetch('/x');
    await judged(() => new Response('x'.repeat(10)), () => 1);
    expect(clone).not.toHaveBeenCalled();
  });
});

describe('traceparent', () => {
  const HEADER = /^00-([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-01$/;
  /** What the network was asked for. */
  const asked = (set: ReturnType<typeof page>): Request[] => set.page.mock.calls.filter(([input]) => !String(input).startsWith('https://monitor')).map((args) => args[0]);

  test.each<[string, HeadersInit | undefined]>([
    ['no headers', undefined],
    ['Headers', new Headers({'x-own': 'kept'})],
    ['an array', [['x-own', 'kept']]],
    ['a record', Object.freeze({'x-own': 'kept'})],
  ])('joins %s', async (_, headers) => {
    const set = page(async () => status(200), {onRequest: traceparent(true)});
    const init = Object.freeze({method: 'POST', body: 'é', ...(headers && {headers})});
    await fetch('/api', init);
    await set.flush();
    const [request] = asked(set);
    expect(request!.method).toBe('POST');
    expect(await request!.text()).toBe('é');
    expect(request!.headers.get('x-own')).toBe(headers ? 'kept' : null);
    const [, trace] = HEADER.exec(request!.headers.get('traceparent')!)!;
    expect(requestsOf(set)).toMatchObject([{data: {trace_id: trace}}]);
    expect(headers instanceof Headers && headers.has('traceparent')).toBe(false);
  });

  test('joins a Request, with what the options change of it', async () => {
    const set = page(async () => status(200), {onRequest: traceparent(['api.example'])});
    await fetch(new Request('https://api.example/a', {method: 'PUT', headers: {'x-own': 'kept'}, body: 'text'}));
    await fetch(new Request('https://api.example/a', {headers: {'x-own': 'lost'}}), {headers: {'x-own': 'new'}});
    const [first, second] = asked(set);
    expect([first!.method, first!.headers.get('x-own'), await first!.text()]).toEqual(['PUT', 'kept', 'text']);
    expect(second!.headers.get('x-own')).toBe('new');
    for (const {headers} of [first!, second!]) expect(headers.get('traceparent')).toMatch(HEADER);
  });

  test.each<[string, Parameters<typeof traceparent>[0] | undefined, string[]]>([
    ['no request by default', undefined, []],
    ['those of the own origin, not those that only speak of it', true, ['/own']],
    ['those that match', [/other\.example\/a/], ['https://other.example/a']],
    ['those that contain a text', ['redirect'], ['https://other.example/?redirect=ORIGIN/']],
  ])('joins %s', async (_, addresses, expected) => {
    const set = page(async () => status(200), addresses && {onRequest: traceparent(addresses)});
    const paths = ['/own', 'https://other.example/a', 'https://other.example/?redirect=ORIGIN/'];
    for (const path of paths) await fetch(path.replace('ORIGIN', location.origin));
    const marked = paths.filter((_, index) => (asked(set)[index] as unknown) instanceof Request);
    expect(marked).toEqual(expected);
    await set.flush();
    expect(requestsOf(set).filter(({data}) => data.trace_id)).toHaveLength(expected.length);
    expect(new Set(requestsOf(set).map(({data}) => data.trace_id)).size).toBe(Math.max(expected.length, 1) + (expected.length ? 1 : 0));
  });

  test('what is no valid request goes to fetch as it is, however often', async () => {
    const set = page(async () => status(200), {onRequest: traceparent([/^/])});
    const init = {method: 'GET', body: 'not allowed'};
    for (let i = 0; i < 5; i++) await fetch('http://[broken', init);
    expect(set.page.mock.calls.at(-1)![1]).toBe(init);
    await fetch('/fine');
    await set.flush();
    expect(requestsOf(set)).toHaveLength(6);
  });
});


describe('requests by XMLHttpRequest', () => {
  class FakeXhr extends EventTarget {
    static sent: unknown[][] = [];
    status = 0;
    readyState = 0;
    response: unknown = '';
    headers: string[][] = [];
    open(..._args: unknown[]): string {
      this.readyState = 1;
      this.status = 0;
      return 'result of open';
    }
    setRequestHeader(...header: string[]): void {
      this.headers.push(header);
    }
    send(...args: unknown[]): string {
      FakeXhr.sent.push(args);
      if (args[0] instanceof Error) {
        if (args[0].name !== 'InvalidStateError') this.readyState = 4;
        throw args[0];
      }
      return 'result of send';
    }
    finish(type: string, code = 0, loaded = 0): void {
      this.readyState = 4;
      this.status = code;
      for (const each of [type, 'loadend']) this.dispatchEvent(Object.assign(new Event(each), {loaded}));
    }
  }

  function page(options?: RequestsOptions): Scene {
    FakeXhr.sent = [];
    vi.stubGlobal('XMLHttpRequest', FakeXhr);
    return scene({}, [requests(options)]);
  }

  test.each([
    ['load', 200, {status: '200'}, undefined],
    ['load', 404, {status: '404'}, 'http'],
    ['error', 0, {status: '0'}, 'network'],
    ['abort', 0, {status: '0'}, 'abort'],
    ['timeout', 0, {status: '0'}, 'timeout'],
  ])('%s with %i', async (type, code, attributes, failure) => {
    const set = page();
    const xhr = new FakeXhr();
    expect(xhr.open('post', '/save?key=1', true)).toBe('result of open');
    expect(xhr.send('body')).toBe('result of send');
    expect(FakeXhr.sent).toEqual([['body']]);
    xhr.finish(type, code, 33);
    await set.flush();
    expect(requestsOf(set)).toMatchObject([
      {name: 'xhr', attributes: {...attributes, method: 'POST', target: `${location.origin}/save`}, data: {response_size: 33}},
    ]);
    expect(requestsOf(set)[0]!.attributes!['failure']).toBe(failure);
  });

  test.each<[string, unknown, number | undefined]>(BODIES)('the size of a body: %s', async (_, body, size) => {
    const set = page();
    const xhr = new FakeXhr();
    xhr.open('PUT', '/x');
    xhr.send(body);
    xhr.finish('load', 200);
    await set.flush();
    expect(FakeXhr.sent[0]![0]).toBe(body);
    expect(requestsOf(set)[0]!.data['request_size']).toBe(size);
  });

  test('what is given to a GET is not sent, and has no size', async () => {
    const set = page();
    const xhr = new FakeXhr();
    xhr.open('get', '/x');
    xhr.send('left out');
    xhr.finish('load', 200);
    await set.flush();
    expect(requestsOf(set)[0]!.data).not.toHaveProperty('request_size');
  });

  test('time runs from send, and what is never sent is not captured', async () => {
    const onRequest = vi.fn();
    const set = page({onRequest});
    const [sent, unsent] = [new FakeXhr(), new FakeXhr()];
    unsent.open('GET', '/unsent');
    sent.open('GET', '/sent');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(onRequest).not.toHaveBeenCalled();
    sent.send();
    expect(onRequest).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(100);
    sent.finish('load', 200);
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{value: 100, data: {url: `${location.origin}/sent`}}]);
  });

  test('an address that is changed between open and send is that of open', async () => {
    const set = page();
    const xhr = new FakeXhr();
    const url = new URL('https://api.example/a');
    xhr.open('GET', url);
    url.pathname = '/b';
    xhr.send();
    xhr.finish('load', 200);
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {target: 'https://api.example/a'}}]);
  });

  test('a synchronous request that fails throws the same, and is captured once', async () => {
    const set = page();
    const xhr = new FakeXhr();
    xhr.open('GET', '/a', false);
    const failure = new DOMException('x', 'NetworkError');
    expect(() => xhr.send(failure)).toThrow(failure);
    const again = new DOMException('x', 'InvalidStateError');
    expect(() => xhr.send(again)).toThrow(again);
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {status: '0', failure: 'network'}}]);
  });

  test.each([undefined, null, 'text'])('%j thrown by an older wrapper reaches the page', (thrown) => {
    vi.stubGlobal('XMLHttpRequest', FakeXhr);
    vi.spyOn(FakeXhr.prototype, 'send').mockImplementation(() => {
      throw thrown;
    });
    scene({}, [requests()]);
    const xhr = new FakeXhr();
    xhr.open('GET', '/a');
    let caught: unknown = 'nothing';
    try {
      xhr.send();
    } catch (error) {
      caught = error;
    }
    expect(caught).toBe(thrown);
  });

  test('an object that is used again is captured each time once', async () => {
    const set = page();
    const xhr = new FakeXhr();
    for (const path of ['/a', '/b']) {
      xhr.open('GET', path);
      xhr.send();
      xhr.finish('load', 200);
    }
    await set.flush();
    expect(requestsOf(set).map(({attributes}) => attributes!['target'])).toEqual([`${location.origin}/a`, `${location.origin}/b`]);
  });

  test('a second send, which throws, neither ends nor doubles the first', async () => {
    const set = page();
    const xhr = new FakeXhr();
    xhr.open('GET', '/a');
    xhr.send();
    const error = new DOMException('x', 'InvalidStateError');
    expect(() => xhr.send(error)).toThrow(error);
    xhr.finish('load', 200);
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {status: '200'}}]);
  });

  test('a request that is given up by opening the object again is not taken for the next one', async () => {
    const set = page();
    const xhr = new FakeXhr();
    xhr.open('GET', '/a');
    xhr.send();
    xhr.open('GET', '/b');
    xhr.send();
    xhr.finish('load', 200);
    await set.flush();
    expect(requestsOf(set).map(({attributes}) => [attributes!['target'], attributes!['status'], attributes!['failure']])).toEqual([
      [`${location.origin}/b`, '200', undefined],
    ]);
  });

  test('a handler that comes first and sends the next request changes neither', async () => {
    const set = page();
    const xhr = new FakeXhr();
    const next = (): void => {
      xhr.open('GET', '/b');
      xhr.send();
    };
    xhr.addEventListener('load', next, {once: true});
    xhr.open('GET', '/a');
    xhr.send();
    xhr.finish('load', 201);
    xhr.finish('load', 202);
    await set.flush();
    expect(requestsOf(set).map(({attributes}) => [attributes!['target'], attributes!['status']])).toEqual([
      [`${location.origin}/a`, '201'],
      [`${location.origin}/b`, '202'],
    ]);
  });

  test.each<[unknown, unknown]>([
    ['{"code":9}', 9],
    [{code: 9}, 9],
    ['no JSON', undefined],
  ])('failureOf gets the body, %j', async (response, code) => {
    const set = page({onAnswer: businessCode(({body}) => body?.code)});
    const xhr = Object.assign(new FakeXhr(), {response});
    xhr.open('GET', '/a');
    xhr.send();
    xhr.finish('load', 200);
    await vi.advanceTimersByTimeAsync(1);
    await set.flush();
    expect(requestsOf(set)[0]!.attributes!['failure']).toBe(code && 'business');
    expect(requestsOf(set)[0]!.data.code).toBe(code);
  });

  test('a matching request is marked with its trace, others are not', async () => {
    const set = page({onRequest: traceparent(['/api/'])});
    const xhrs = ['/api/a', '/other'].map((path) => {
      const xhr = new FakeXhr();
      xhr.open('GET', path);
      xhr.send();
      xhr.finish('load', 200);
      return xhr;
    });
    await set.flush();
    const [marked, other] = requestsOf(set);
    expect(xhrs.map(({headers}) => headers)).toEqual([[['traceparent', expect.stringMatching(`^00-${marked!.data.trace_id}-[0-9a-f]{16}-01$`)]], []]);
    expect(other!.data).not.toHaveProperty('trace_id');
  });

  test('after close, the prototype is what it was', () => {
    const {open, send} = FakeXhr.prototype;
    const set = page();
    expect(FakeXhr.prototype.open).not.toBe(open);
    expect(FakeXhr.prototype.send).not.toBe(send);
    void set.client.close(0);
    expect(FakeXhr.prototype.open).toBe(open);
    expect(FakeXhr.prototype.send).toBe(send);
  });
});
