import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {byteLength} from '../src/byteLength.js';
import {fetchTransport} from '../src/transport/fetch.js';
import {hide, scene, status, tearDown, withKeepalive} from './scene.js';

beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0.5));
afterEach(tearDown);

const MINUTE = 60_000;

describe('when it sends', () => {
  test('an event waits five seconds for company', async () => {
    const {client, network, events} = scene();
    client.track('a');
    await vi.advanceTimersByTimeAsync(3000);
    client.track('b');
    await vi.advanceTimersByTimeAsync(1999);
    expect(network).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(network).toHaveBeenCalledTimes(1);
    expect(events().map(({name}) => name)).toEqual(['a', 'b']);
  });

  test('an error waits 200 ms, and takes along what is queued', async () => {
    const {client, network, events} = scene();
    client.track('before');
    client.captureException(new Error('x'));
    await vi.advanceTimersByTimeAsync(199);
    expect(network).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(events().map(({kind}) => kind)).toEqual(['track', 'error']);
  });

  test('a stream of errors is not put off for ever', async () => {
    const {client, network} = scene();
    for (let i = 0; i < 10; i++) {
      client.captureException(new Error(`${i}`));
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(network.mock.calls.length).toBeGreaterThanOrEqual(4);
  });

  test('fifty events do not wait', async () => {
    const {client, network} = scene();
    for (let i = 0; i < 49; i++) client.track('e');
    expect(network).not.toHaveBeenCalled();
    client.track('e');
    expect(network).toHaveBeenCalledTimes(1);
  });

  test('48 KiB do not wait, and bytes are counted as UTF-8', () => {
    const {client, network} = scene();
    for (let i = 0; i < 5; i++) client.track('e', {text: 'é'.repeat(4500)});
    expect(network).not.toHaveBeenCalled();
    client.track('e', {text: 'é'.repeat(4500)});
    expect(network).toHaveBeenCalledTimes(1);
  });

  test('one request at a time; what comes meanwhile goes with the next', async () => {
    const {client, network, envelopes} = scene();
    let answer: (response: Response) => void = () => {};
    network.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    for (let i = 0; i < 50; i++) client.track('first');
    for (let i = 0; i < 60; i++) client.track('second');
    expect(network).toHaveBeenCalledTimes(1);
    answer(status(202));
    await vi.advanceTimersByTimeAsync(1);
    expect(envelopes().map(({events}) => events.length)).toEqual([50, 60]);
  });

  test('the request is simple: text body, key in the query, no cookies', async () => {
    const {client, network, flush} = scene();
    client.track('e');
    await flush();
    const [url, init] = network.mock.calls[0]!;
    expect(url).toBe('https://monitor.example/api/shop/events?key=public');
    expect(init).toMatchObject({method: 'POST', body: expect.any(String), credentials: 'omit', keepalive: true});
    expect(init.headers).toBeUndefined();
  });
});

describe('after a failure', () => {
  test.each([408, 429, 500, 502, 503, 504])('%i: the same events go again with the same ids as attempt 2', async (code) => {
    const {client, network, envelopes} = scene();
    network.mockResolvedValueOnce(status(code));
    client.track('a');
    await vi.advanceTimersByTimeAsync(5000);
    client.track('fresh');
    await vi.advanceTimersByTimeAsync(6000);
    const [first, second, third] = envelopes();
    expect(second!.events).toEqual(first!.events);
    expect([first!.attempt, second!.attempt]).toEqual([1, 2]);
    expect(second!.sent_at).toBeGreaterThan(first!.sent_at);
    // What is fresh is not mixed into the repetition.
    expect(third).toMatchObject({attempt: 1, events: [{name: 'fresh'}]});
    expect(envelopes()).toHaveLength(3);
  });

  test('no answer: the same', async () => {
    const {client, network, envelopes} = scene();
    network.mockRejectedValueOnce(new TypeError('Failed to fetch'));
    client.track('a');
    await vi.advanceTimersByTimeAsync(6000);
    const [first, second] = envelopes();
    expect(second).toMatchObject({attempt: 2, events: first!.events});
  });

  test('no answer within 30 seconds counts as none', async () => {
    const {client, network, envelopes} = scene();
    network.mockImplementationOnce(
      (_url, init) => new Promise((_resolve, reject) => init.signal!.addEventListener('abort', () => reject(new DOMException('x', 'AbortError')))),
    );
    client.track('a');
    await vi.advanceTimersByTimeAsync(34_999);
    expect(envelopes()).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
  });

  test('the wait doubles from one second to five minutes, with full jitter', async () => {
    const {client, network} = scene();
    const times: number[] = [];
    network.mockImplementation(async () => {
      times.push(Date.now());
      return status(503);
    });
    vi.mocked(Math.random).mockReturnValue(0.999999);
    client.track('a');
    await vi.advanceTimersByTimeAsync(40 * MINUTE);
    const waits = times.slice(1).map((time, i) => Math.round((time - times[i]!) / 1000));
    expect(waits.slice(0, 12)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);

    vi.mocked(Math.random).mockReturnValue(0.25);
    const before = times.length;
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    const jittered = times.slice(before + 1).map((time, i) => Math.round((time - times[before + i]!) / 1000));
    expect(new Set(jittered)).toEqual(new Set([75]));
  });

  test('a success starts the waits from the beginning', async () => {
    const {client, network} = scene();
    network.mockResolvedValueOnce(status(503)).mockResolvedValueOnce(status(503)).mockResolvedValueOnce(status(202)).mockResolvedValueOnce(status(503));
    client.track('a');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(network).toHaveBeenCalledTimes(3);
    client.track('b');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(network).toHaveBeenCalledTimes(4);
    await vi.advanceTimersByTimeAsync(500);
    expect(network).toHaveBeenCalledTimes(5);
  });

  test.each([
    ['seconds', '7', 7000],
    ['an HTTP date', new Date(Date.UTC(2026, 0, 1) + 5000 + 20_000).toUTCString(), 20_000],
  ])('Retry-After as %s is obeyed', async (_, header, wait) => {
    const {client, network} = scene();
    network.mockResolvedValueOnce(status(429, {'retry-after': header}));
    client.track('a');
    await vi.advanceTimersByTimeAsync(5000);
    client.captureException(new Error('urgent'));
    dispatchEvent(new Event('online'));
    hide();
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(network).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2);
    expect(network.mock.calls.length).toBeGreaterThan(1);
  });

  test('an absurd Retry-After neither fires at once nor silences for ever', async () => {
    const {client, network} = scene();
    network.mockResolvedValueOnce(status(503, {'retry-after': '99999999999'}));
    client.track('a');
    await vi.advanceTimersByTimeAsync(23 * 60 * MINUTE);
    expect(network).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2 * 60 * MINUTE);
    expect(network).toHaveBeenCalledTimes(2);
  });

  test('a Retry-After that makes no sense is ignored', async () => {
    const {client, network} = scene();
    network.mockResolvedValueOnce(status(503, {'retry-after': 'soon'}));
    client.track('a');
    await vi.advanceTimersByTimeAsync(6000);
    expect(network).toHaveBeenCalledTimes(2);
  });

  test('when the network is back, a back-off for its absence ends', async () => {
    const {client, network} = scene();
    network.mockRejectedValue(new TypeError('offline'));
    client.track('a');
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    network.mockResolvedValue(status(202));
    const before = network.mock.calls.length;
    dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(1);
    expect(network.mock.calls.length).toBe(before + 1);
  });

  test('413 splits until it fits; a single event that is too large is dropped and counted', async () => {
    const {client, network, envelopes, flush} = scene();
    network.mockImplementation(async (_url, init) => {
      const {events} = JSON.parse(init.body as string);
      return status(events.length > 2 || events.some(({name}: {name: string}) => name === 'huge') ? 413 : 202);
    });
    for (const name of ['a', 'b', 'huge', 'c', 'd']) client.track(name);
    await flush();
    const accepted = envelopes()
      .filter(({events}) => events.length <= 2 && events.every(({name}) => name !== 'huge'))
      .flatMap(({events}) => events.map(({name}) => name));
    expect(accepted.sort()).toEqual(['a', 'b', 'c', 'd']);
    client.track('after');
    await flush();
    expect(envelopes().at(-1)!.discarded ?? envelopes().at(-2)!.discarded).toEqual([{reason: 'too_large', kind: 'track', count: 1}]);
  });

  test.each([
    [400, 'http_4xx'],
    [401, 'http_4xx'],
    [403, 'http_4xx'],
    [404, 'http_4xx'],
    [501, 'http_5xx'],
  ])('%i: dropped, not sent again, counted as %s', async (code, reason) => {
    const {client, network, envelopes, flush} = scene();
    network.mockResolvedValueOnce(status(code));
    client.track('a');
    client.captureMessage('b');
    await flush();
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(network).toHaveBeenCalledTimes(1);
    client.track('c');
    await flush();
    expect(envelopes()[1]).toMatchObject({
      attempt: 1,
      events: [{name: 'c'}],
      discarded: [
        {reason, kind: 'track', count: 1},
        {reason, kind: 'message', count: 1},
      ],
    });
  });

  test('what the receiver rejects is counted by kind', async () => {
    const {client, network, envelopes, flush} = scene();
    const body = JSON.stringify({accepted: 1, rejected: [{index: 1, code: 'too_deep', message: ''}, {index: 99}]});
    network.mockResolvedValueOnce(new Response(body, {status: 202}));
    client.track('a');
    client.captureMessage('b');
    await flush();
    client.track('c');
    await flush();
    expect(envelopes()[1]!.discarded).toEqual([{reason: 'rejected', kind: 'message', count: 1}]);
  });

  test('an accepted answer with a body that makes no sense is still an accepted answer', async () => {
    const {client, network, flush} = scene();
    network.mockResolvedValueOnce(new Response('<html>', {status: 202}));
    client.track('a');
    await flush();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(network).toHaveBeenCalledTimes(1);
  });
});

describe('the counts of discarded events', () => {
  test('go along once, and come back when the send failed', async () => {
    const {client, network, envelopes, flush} = scene();
    client.discard('queue_overflow', 'vital', 3);
    network.mockResolvedValueOnce(status(503));
    client.track('a');
    await flush();
    client.discard('queue_overflow', 'vital', 2);
    await vi.advanceTimersByTimeAsync(1000);
    client.track('b');
    await flush();
    expect(envelopes().map(({discarded}) => discarded)).toEqual([
      [{reason: 'queue_overflow', kind: 'vital', count: 3}],
      [{reason: 'queue_overflow', kind: 'vital', count: 5}],
      undefined,
    ]);
  });

  test('ten thousand events of an outage stay within bounds; all that arrive, arrive once, and the rest is counted', async () => {
    const {client, network, envelopes} = scene();
    network.mockRejectedValue(new TypeError('offline'));
    for (let i = 0; i < 10_000; i++) client.track('e', {i});
    await vi.advanceTimersByTimeAsync(1000);
    network.mockClear();
    network.mockResolvedValue(status(202));
    dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(100);
    const ids = envelopes().flatMap(({events}) => events.map(({id}) => id));
    expect(ids).toHaveLength(1000);
    expect(new Set(ids).size).toBe(1000);
    const dropped = envelopes().flatMap(({discarded}) => discarded ?? []);
    expect(dropped).toEqual([{reason: 'queue_overflow', kind: 'track', count: 9000}]);
  });
});

describe('flush and close', () => {
  test('flush is true when all has been answered', async () => {
    const {client} = scene();
    client.track('a');
    const flushed = client.flush();
    await vi.advanceTimersByTimeAsync(0);
    await expect(flushed).resolves.toBe(true);
  });

  test('flush is false when time runs out, and the events stay', async () => {
    const {client, network, events} = scene();
    network.mockResolvedValueOnce(status(503, {'retry-after': '10'}));
    client.track('a');
    const flushed = client.flush(500);
    await vi.advanceTimersByTimeAsync(500);
    await expect(flushed).resolves.toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(events().map(({name}) => name)).toEqual(['a', 'a']);
  });

  test('flush also sends what is captured while it waits', async () => {
    const {client, network, events} = scene();
    let answer: (response: Response) => void = () => {};
    network.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    client.track('a');
    const flushed = client.flush(1000);
    client.track('b');
    answer(status(202));
    await vi.advanceTimersByTimeAsync(1);
    await expect(flushed).resolves.toBe(true);
    expect(events().map(({name}) => name)).toEqual(['a', 'b']);
  });

  test('flush of nothing is true and sends nothing', async () => {
    const {client, network} = scene();
    await expect(client.flush()).resolves.toBe(true);
    expect(network).not.toHaveBeenCalled();
  });

  test('close sends what is queued and then does nothing any more', async () => {
    const {client, network, events} = scene();
    client.track('last');
    const closed = client.close();
    client.track('too late');
    await vi.advanceTimersByTimeAsync(1);
    await expect(closed).resolves.toBe(true);
    hide();
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(events().map(({name}) => name)).toEqual(['last']);
    expect(network).toHaveBeenCalledTimes(1);
    await expect(client.close()).resolves.toBe(true);
  });
});

describe('when the page is hidden', () => {
  test('everything goes at once, before the handler returns', () => {
    const {client, network} = scene();
    client.track('a');
    hide();
    expect(network).toHaveBeenCalledTimes(1);
    expect(network.mock.calls[0]![1].keepalive).toBe(true);
  });

  test('pagehide does the same', () => {
    const {client, network} = scene();
    client.track('a');
    dispatchEvent(new Event('pagehide'));
    expect(network).toHaveBeenCalledTimes(1);
  });

  test('becoming visible sends nothing', () => {
    const {client, network} = scene();
    client.track('a');
    hide('visible');
    expect(network).not.toHaveBeenCalled();
  });

  test('what an integration captures on hiding is in that flush', () => {
    const {client, events} = scene();
    client.onHidden(() => client.track('final'));
    hide();
    expect(events().map(({name}) => name)).toEqual(['final']);
  });

  /** 40 events of about 3 kB: two and a half batches. */
  function fill(client: {track(name: string, properties: object): void}): void {
    for (let i = 0; i < 40; i++) client.track('e', {i, text: 'x'.repeat(3000)});
  }

  test('beyond the keepalive budget it is sendBeacon, split when refused', async () => {
    const {client, network, envelopes} = scene();
    network.mockImplementation(() => new Promise(() => {}));
    const beacons: string[] = [];
    const sendBeacon = vi.fn((_url: string, body: string) => {
      const fits = body.length <= 20_000;
      if (fits) beacons.push(body);
      return fits;
    });
    vi.stubGlobal('navigator', Object.assign(Object.create(navigator), {sendBeacon}));
    fill(client);
    hide();
    const kept = network.mock.calls.filter(([, init]) => init.keepalive);
    expect(kept.reduce((sum, [, init]) => sum + byteLength(init.body as string), 0)).toBeLessThanOrEqual(60_000);
    expect(sendBeacon).toHaveBeenCalledWith('https://monitor.example/api/shop/events?key=public', expect.any(String));
    const sent = [...envelopes(), ...beacons.map((body) => JSON.parse(body))].flatMap(({events}) => events.map(({data}: any) => data.i));
    expect(sent.sort((a: number, b: number) => a - b)).toEqual(Array.from({length: 40}, (_, i) => i));
    expect(beacons.every((body) => JSON.parse(body).attempt === 1)).toBe(true);
  });

  test('what even sendBeacon refuses is kept and sent if the page lives on, as attempt 1', async () => {
    const {client, network, events, envelopes} = scene();
    let answers: ((response: Response) => void)[] = [];
    network.mockImplementation(() => new Promise((resolve) => answers.push(resolve)));
    vi.stubGlobal('navigator', Object.assign(Object.create(navigator), {sendBeacon: () => false}));
    fill(client);
    hide();
    const before = events().length;
    expect(before).toBeLessThan(40);
    answers.forEach((answer) => answer(status(202)));
    network.mockImplementation(async () => status(202));
    await vi.advanceTimersByTimeAsync(5000);
    expect(events().map(({data}) => data.i).sort((a, b) => a - b)).toEqual(Array.from({length: 40}, (_, i) => i));
    expect(envelopes().every(({attempt}) => attempt === 1)).toBe(true);
  });

  test('an own back-off is ignored for what may be the last chance', async () => {
    const {client, network, envelopes} = scene();
    network.mockResolvedValueOnce(status(503));
    client.track('a');
    await vi.advanceTimersByTimeAsync(5000);
    hide();
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
  });

  test('a failed send of a hidden page is repeated when the page lives on', async () => {
    const {client, network, envelopes} = scene();
    network.mockResolvedValueOnce(status(503));
    client.track('a');
    hide();
    await vi.advanceTimersByTimeAsync(2000);
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
    expect(envelopes()[0]!.events).toEqual(envelopes()[1]!.events);
  });
});

describe('the keepalive budget', () => {
  beforeEach(withKeepalive);
  const body = (bytes: number): string => 'x'.repeat(bytes);
  const pending = () => {
    const network = vi.fn((_url: string, _init: RequestInit) => new Promise<Response>(() => {}));
    vi.stubGlobal('fetch', network);
    return network;
  };

  test('is counted over all requests in flight, as UTF-8', () => {
    const network = pending();
    const transport = fetchTransport('https://h/');
    void transport.send('é'.repeat(20_000));
    void transport.send(body(20_001));
    void transport.send(body(20_000));
    expect(network.mock.calls.map(([, {keepalive}]) => keepalive)).toEqual([true, false, true]);
  });

  test('is nine requests', () => {
    const network = pending();
    const transport = fetchTransport('https://h/');
    for (let i = 0; i < 10; i++) void transport.send('x');
    expect(network.mock.calls.map(([, {keepalive}]) => keepalive)).toEqual([...Array(9).fill(true), false]);
  });

  test('is given back when a request ends, well or not', async () => {
    const transport = (vi.stubGlobal('fetch', vi.fn().mockRejectedValueOnce(new TypeError('x')).mockResolvedValue(status(202))), fetchTransport('https://h/'));
    for (let i = 0; i < 20; i++) {
      expect(transport.canOutlive(60_000)).toBe(true);
      await transport.send(body(60_000));
    }
  });

  test('does not exist where the browser ignores keepalive', () => {
    pending();
    vi.stubGlobal('Request', class {});
    expect(fetchTransport('https://h/').canOutlive(1)).toBe(false);
  });
});
