import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {autoTransport} from '../src/transport/auto.js';
import {imageTransport} from '../src/transport/image.js';
import type {Answer, Transport} from '../src/transport/transport.js';
import {webSocketTransport} from '../src/transport/webSocket.js';
import {xhrTransport} from '../src/transport/xhr.js';

const ENDPOINT = 'https://monitor.example/mount/api/shop/events?key=public';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What a send has become by now: `refused`, `waiting` or the answer. */
async function outcome(answer: Promise<Answer> | undefined): Promise<Answer | string> {
  if (!answer) return 'refused';
  await vi.advanceTimersByTimeAsync(0);
  return Promise.race([answer, Promise.resolve('waiting')]);
}

describe('XMLHttpRequest', () => {
  class FakeXhr {
    static made: FakeXhr[] = [];
    onloadend = (): void => {};
    status = 0;
    timeout = 0;
    responseType = '';
    response: unknown = null;
    headers: Record<string, string> = {};
    calls: unknown[][] = [];
    constructor() {
      FakeXhr.made.push(this);
    }
    open(...args: unknown[]): void {
      this.calls.push(args);
    }
    send(...args: unknown[]): void {
      this.calls.push(args);
    }
    getResponseHeader(name: string): string | null {
      return this.headers[name] ?? null;
    }
  }
  let transport: Transport;
  beforeEach(() => {
    FakeXhr.made = [];
    vi.stubGlobal('XMLHttpRequest', FakeXhr);
    transport = xhrTransport(ENDPOINT);
  });

  test.each<[string, Partial<FakeXhr>, Answer]>([
    ['taken', {status: 202, response: {accepted: 2, rejected: [{index: 1}]}}, {status: 202, rejected: [{index: 1}]}],
    ['taken by something else', {status: 200, response: null}, {status: 200}],
    ['asked to wait', {status: 429, headers: {'retry-after': '7'}}, {status: 429, retryAfter: '7'}],
    ['an answer that says otherwise itself', {status: 503, response: {status: 202}}, {status: 503}],
    ['no answer', {status: 0}, {status: 0}],
  ])('%s', async (_, ended, answer) => {
    const sent = transport('{"v":1}', false);
    const [xhr] = FakeXhr.made;
    expect(await outcome(sent)).toBe('waiting');
    expect(xhr!.calls).toEqual([['POST', ENDPOINT, true], ['{"v":1}']]);
    expect(xhr!.timeout).toBe(30_000);
    Object.assign(xhr!, ended).onloadend();
    expect(await outcome(sent)).toMatchObject(answer);
  });

  test('a page that is left takes it along, so it is not tried', async () => {
    expect(await outcome(transport('{}', true))).toBe('refused');
    expect(FakeXhr.made).toEqual([]);
  });

  test('what wraps the methods later does not see our requests', () => {
    const open = vi.spyOn(FakeXhr.prototype, 'open');
    void transport('{}', false);
    expect(open).not.toHaveBeenCalled();
  });
});

describe('an image', () => {
  class FakeImage {
    static made: FakeImage[] = [];
    onload = (): void => {};
    onerror = (): void => {};
    src = '';
    constructor() {
      FakeImage.made.push(this);
    }
  }
  let transport: Transport;
  beforeEach(() => {
    FakeImage.made = [];
    vi.stubGlobal('Image', FakeImage);
    transport = imageTransport(ENDPOINT);
  });

  test.each(['{"v":1}', '{"a":"é😀 ÿþ>>>???"}', ''])('carries %j', (body) => {
    void transport(body, true);
    const {origin, pathname, searchParams, search} = new URL(FakeImage.made[0]!.src);
    expect([origin + pathname, searchParams.get('key')]).toEqual(['https://monitor.example/mount/api/shop/pixel.gif', 'public']);
    expect(search).not.toMatch(/[+/]/);
    expect(Buffer.from(searchParams.get('d')!, 'base64url').toString()).toBe(body);
  });

  test('is answered when it loads; it is not when it fails or takes long', async () => {
    const sent = [0, 1, 2].map(() => transport('{}', false));
    const [loaded, failed] = FakeImage.made;
    loaded!.onload();
    failed!.onerror();
    expect(await outcome(sent[2])).toBe('waiting');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await Promise.all(sent)).toEqual([{status: 202}, {status: 0}, {status: 0}]);
  });

  test('takes no more than the receiver reads', async () => {
    const largest = 'x'.repeat(11_900);
    expect(await outcome(transport(largest, false))).toBe('waiting');
    expect(FakeImage.made[0]!.src.length).toBeLessThan(16_384);
    for (const body of ['x'.repeat(12_100), 'é'.repeat(6_100), 'x'.repeat(5_000_000)]) expect(await outcome(transport(body, false))).toBe('refused');
    expect(FakeImage.made).toHaveLength(1);
  });
});

describe('a WebSocket', () => {
  class FakeSocket {
    static made: FakeSocket[] = [];
    onmessage = (_: {data: string}): void => {};
    onclose = (_: object): void => {};
    readyState = 0;
    sent: string[] = [];
    constructor(readonly url: string) {
      FakeSocket.made.push(this);
    }
    send(body: string): void {
      this.sent.push(body);
    }
    close(): void {
      this.readyState = 2;
    }
    open(): void {
      this.readyState = 1;
    }
    answer(answer: unknown): void {
      this.onmessage({data: typeof answer === 'string' ? answer : JSON.stringify(answer)});
    }
    lose(): void {
      this.readyState = 3;
      this.onclose({});
    }
  }
  const sockets = FakeSocket.made;
  let transport: Transport;
  beforeEach(() => {
    sockets.length = 0;
    vi.stubGlobal('WebSocket', FakeSocket);
    transport = webSocketTransport(ENDPOINT);
  });
  afterEach(() => {
    window.dispatchEvent(new Event('pagehide'));
  });

  /** The connection that the first send opened. */
  function connected(): FakeSocket {
    void transport('too early', false);
    const socket = sockets.at(-1)!;
    socket.open();
    return socket;
  }

  test('is opened at the first send, which another transport has to take', async () => {
    expect(sockets).toEqual([]);
    expect(await outcome(transport('a', false))).toBe('refused');
    expect(await outcome(transport('b', false))).toBe('refused');
    expect(sockets.map(({url}) => url)).toEqual(['wss://monitor.example/mount/api/shop/ws?key=public']);
    sockets[0]!.open();
    expect(await outcome(transport('c', false))).toBe('waiting');
    expect(sockets[0]!.sent).toEqual(['c']);
  });

  test('gives the answers in the order of the messages', async () => {
    const socket = connected();
    const sent = ['a', 'b', 'c'].map((body) => transport(body, false));
    socket.answer({status: 202, accepted: 2, rejected: [{index: 2, code: 'too_deep'}]});
    socket.answer({status: 429, error: {code: 'rate_limited'}, retry_after: 3});
    expect(await outcome(sent[0])).toMatchObject({status: 202, rejected: [{index: 2}]});
    expect(await outcome(sent[1])).toMatchObject({status: 429, retryAfter: 3});
    expect(await outcome(sent[2])).toBe('waiting');
  });

  test('takes nothing from a page that is left', async () => {
    const socket = connected();
    expect(await outcome(transport('a', true))).toBe('refused');
    expect(socket.sent).toEqual([]);
  });

  test('that is lost leaves everybody without an answer, and is opened again after five minutes, or at once if it was of use', async () => {
    const socket = connected();
    const sent = ['a', 'b'].map((body) => transport(body, false));
    socket.lose();
    expect(await Promise.all(sent)).toEqual([{status: 0}, {status: 0}]);
    for (let made = 1; made < 4; made++) {
      await vi.advanceTimersByTimeAsync(299_999);
      expect(await outcome(transport('a', false))).toBe('refused');
      expect(sockets).toHaveLength(made);
      await vi.advanceTimersByTimeAsync(1);
      void transport('a', false);
      expect(sockets).toHaveLength(made + 1);
      if (made < 3) sockets.at(-1)!.lose();
    }
    sockets.at(-1)!.open();
    const answered = transport('b', false);
    sockets.at(-1)!.answer({status: 202, accepted: 1, rejected: []});
    expect(await outcome(answered)).toMatchObject({status: 202});
    sockets.at(-1)!.lose();
    void transport('c', false);
    expect(sockets).toHaveLength(5);
  });

  test('is closed when it is idle, when an answer is late and when the page is left', async () => {
    const socket = connected();
    const answered = transport('a', false);
    await vi.advanceTimersByTimeAsync(29_000);
    socket.answer({status: 202, accepted: 1, rejected: []});
    expect(await outcome(answered)).toMatchObject({status: 202});
    await vi.advanceTimersByTimeAsync(999);
    expect(socket.readyState).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.readyState).toBe(2);

    const second = connected();
    const late = transport('b', false);
    await vi.advanceTimersByTimeAsync(30_000);
    expect([await outcome(late), second.readyState]).toEqual([{status: 0}, 2]);

    await vi.advanceTimersByTimeAsync(300_000);
    const third = connected();
    const left = transport('c', false);
    window.dispatchEvent(new Event('pagehide'));
    expect([await outcome(left), third.readyState]).toEqual([{status: 0}, 2]);
  });

  test('that was given up cannot answer for the one after it', async () => {
    const first = connected();
    void transport('a', false);
    window.dispatchEvent(new Event('pagehide'));
    await vi.advanceTimersByTimeAsync(300_000);
    const second = connected();
    const sent = transport('b', false);
    first.answer({status: 400});
    first.lose();
    expect(await outcome(sent)).toBe('waiting');
    second.answer({status: 202, accepted: 1, rejected: []});
    expect(await outcome(sent)).toMatchObject({status: 202});
  });

  test.each(['nonsense', '{"status":202}'])('that says %s without being asked is closed', (message) => {
    const socket = connected();
    socket.answer(message);
    expect(socket.readyState).toBe(2);
  });

  test('that cannot be made is not tried at each send', async () => {
    const make = vi.fn(function () {
      throw new DOMException('mixed content', 'SecurityError');
    });
    vi.stubGlobal('WebSocket', make);
    for (let i = 0; i < 5; i++) expect(await outcome(transport('a', false))).toBe('refused');
    expect(make).toHaveBeenCalledTimes(1);
  });
});

describe('the automatic choice', () => {
  const {fetch: nativeFetch} = globalThis;
  /** What was asked, in order; each way answers with its status, or refuses when there is none. */
  let asked: string[] = [];
  let status: {fetch: number; xhr: number; image: number; beacon: boolean};
  let transport: Transport;
  beforeEach(() => {
    asked = [];
    status = {fetch: 202, xhr: 202, image: 202, beacon: true};
    vi.stubGlobal('fetch', async (url: string, {body}: RequestInit) => {
      asked.push(url.endsWith('gzip') ? `gzip ${(body as Uint8Array).length < 1_000}` : 'fetch');
      if (!status.fetch) throw new TypeError('no answer');
      return new Response('{}', {status: status.fetch});
    });
    vi.stubGlobal(
      'XMLHttpRequest',
      class {
        onloadend = (): void => {};
        open(): void {}
        send(): void {
          asked.push('xhr');
          queueMicrotask(() => this.onloadend());
        }
        getResponseHeader(): null {
          return null;
        }
        get status(): number {
          return status.xhr;
        }
      },
    );
    vi.stubGlobal(
      'Image',
      class {
        onload = (): void => {};
        onerror = (): void => {};
        set src(_: string) {
          asked.push('image');
          queueMicrotask(() => (status.image ? this.onload() : this.onerror()));
        }
      },
    );
    navigator.sendBeacon = () => {
      asked.push('beacon');
      return status.beacon;
    };
    transport = autoTransport(ENDPOINT);
  });
  afterEach(() => {
    vi.stubGlobal('fetch', nativeFetch);
    delete (navigator as any).sendBeacon;
  });
  const send = async (times = 1, leaving = false): Promise<string> => {
    asked = [];
    for (let i = 0; i < times; i++) await transport('{}', leaving);
    return asked.join(' ');
  };

  test('is fetch as long as there are answers, good or bad', async () => {
    expect(await send(2)).toBe('fetch fetch');
    status.fetch = 500;
    expect(await send(5)).toBe('fetch fetch fetch fetch fetch');
  });

  test('compresses what is long, unless the page is left or there is no compressor', async () => {
    vi.useRealTimers();
    const long = 'x'.repeat(3_000);
    await transport(long, false);
    await transport(long, true);
    vi.stubGlobal('CompressionStream', undefined);
    await transport(long, false);
    expect(asked).toEqual(['gzip true', 'fetch', 'fetch']);
  });

  test('is the next way after three sends without an answer, round and round', async () => {
    Object.assign(status, {fetch: 0, xhr: 0, image: 0});
    expect(await send(10)).toBe('fetch fetch fetch xhr xhr xhr image image image fetch');
  });

  test('stays with the way that has answers; an answer between two misses forgives them', async () => {
    status.fetch = 0;
    await send(2);
    status.fetch = 202;
    await send();
    status.fetch = 0;
    expect(await send(3)).toBe('fetch fetch fetch');
    expect(await send(5)).toBe('xhr xhr xhr xhr xhr');
  });

  test('several sends that fail at the same time count for one way only', async () => {
    status.fetch = 0;
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => transport('{}', false)));
    expect(await send()).toBe('xhr');
  });

  test('of a page that is left is fetch, then a beacon; the other way round once fetch had no answer', async () => {
    const large = 'x'.repeat(61_000);
    const leave = (body: string): string => {
      asked = [];
      void transport(body, true)?.catch(() => {});
      return asked.join(' ');
    };
    expect(leave('{}')).toBe('fetch');
    expect(leave(large)).toBe('beacon');
    status.fetch = 0;
    for (const times of [1, 2]) {
      await send(times);
      expect(leave('{}')).toBe('beacon');
    }
    status.beacon = false;
    expect(leave('{}')).toBe('beacon fetch');
    expect(transport(large, true)).toBeUndefined();
  });

  test('a way that never ends counts as lost after 30 s, and the next one gets its turn', async () => {
    vi.stubGlobal('fetch', () => new Promise(() => {}));
    transport = autoTransport(ENDPOINT);
    const sent = transport('{}', false);
    await vi.advanceTimersByTimeAsync(30_000);
    await expect(sent).resolves.toEqual({status: 0});
    expect(await send()).toBe('xhr');
  });
});
