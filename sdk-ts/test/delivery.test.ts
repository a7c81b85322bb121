import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {captureMessage, pause, resume, track} from '../src/api.js';
import {byteLength} from '../src/byteLength.js';
import {autoTransport} from '../src/transport/auto.js';
import {beaconTransport} from '../src/transport/beacon.js';
import {fetchTransport} from '../src/transport/fetch.js';
import {hide, scene, status, tearDown} from './scene.js';

beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0.5));
afterEach(tearDown);

const MINUTE = 60_000;

describe('when it sends', () => {
  test('an event waits five seconds for company', async () => {
    const {network, events} = scene();
    track('a');
    await vi.advanceTimersByTimeAsync(3000);
    track('b');
    await vi.advanceTimersByTimeAsync(1999);
    expect(network).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(network).toHaveBeenCalledTimes(1);
    expect(events().map(({name}) => name)).toEqual(['a', 'b']);
  });

  test('an error waits 200 ms, and takes along what is queued', async () => {
    const {client, network, events} = scene();
    track('before');
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

  test('96 events do not wait', async () => {
    const {network, envelopes} = scene();
    for (let i = 0; i < 95; i++) track('e');
    await vi.advanceTimersByTimeAsync(1);
    expect(network).not.toHaveBeenCalled();
    track('e');
    await vi.advanceTimersByTimeAsync(1);
    expect(envelopes().map(({events}) => events.length)).toEqual([96]);
  });

  test('48 KiB do not wait, and bytes are counted as UTF-8', async () => {
    const {network} = scene();
    for (let i = 0; i < 5; i++) track('e', {text: 'é'.repeat(4500)});
    await vi.advanceTimersByTimeAsync(1);
    expect(network).not.toHaveBeenCalled();
    track('e', {text: 'é'.repeat(4500)});
    await vi.advanceTimersByTimeAsync(1);
    expect(network).toHaveBeenCalledTimes(2);
  });

  test('one request at a time; what comes meanwhile goes with the next', async () => {
    const {network, envelopes} = scene();
    let answer: (response: Response) => void = () => {};
    network.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    for (let i = 0; i < 96; i++) track('first');
    await vi.advanceTimersByTimeAsync(1);
    for (let i = 0; i < 60; i++) track('second');
    await vi.advanceTimersByTimeAsync(1000);
    expect(network).toHaveBeenCalledTimes(1);
    answer(status(202));
    await vi.advanceTimersByTimeAsync(200);
    expect(envelopes().map(({events}) => events.length)).toEqual([96, 60]);
  });

  test('the request is simple: text body, key in the query, no cookies', async () => {
    const {network, flush} = scene();
    track('e');
    await flush();
    const [url, init] = network.mock.calls[0]!;
    expect(url).toBe('https://monitor.example/api/shop/events?key=public');
    expect(init).toMatchObject({method: 'POST', body: expect.any(String), credentials: 'omit', keepalive: true});
    expect(init.headers).toBeUndefined();
  });
});

describe('after a failure', () => {
  test.each([408, 429, 500, 502, 503, 504])('%i: the same events go again with the same ids as attempt 2', async (code) => {
    const {network, envelopes} = scene();
    network.mockResolvedValueOnce(status(code));
    track('a');
    await vi.advanceTimersByTimeAsync(5000);
    track('fresh');
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
    const {network, envelopes} = scene();
    network.mockRejectedValueOnce(new TypeError('Failed to fetch'));
    track('a');
    await vi.advanceTimersByTimeAsync(6000);
    const [first, second] = envelopes();
    expect(second).toMatchObject({attempt: 2, events: first!.events});
  });

  test('no answer within 30 seconds counts as none', async () => {
    // The clock of the tests does not move that of the browser.
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const abort = new AbortController();
      setTimeout(() => abort.abort(), ms);
      return abort.signal;
    });
    const {network, envelopes} = scene();
    network.mockImplementationOnce(
      (_url, init) => new Promise((_resolve, reject) => init.signal!.addEventListener('abort', () => reject(new DOMException('x', 'AbortError')))),
    );
    track('a');
    await vi.advanceTimersByTimeAsync(34_999);
    expect(envelopes()).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
  });

  test('the wait doubles from one second to five minutes, with full jitter', async () => {
    const {network} = scene();
    const times: number[] = [];
    network.mockImplementation(async () => {
      times.push(Date.now());
      return status(503);
    });
    vi.mocked(Math.random).mockReturnValue(0.999999);
    track('a');
    await vi.advanceTimersByTimeAsync(40 * MINUTE);
    const waits = times.slice(1).map((time, i) => Math.round((time - times[i]!) / 1000));
    expect(waits.slice(0, 12)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);

    vi.mocked(Math.random).mockReturnValue(0.25);
    const before = times.length;
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    const jittered = times.slice(before + 1).map((time, i) => Math.round((time - times[before + i]!) / 1000));
    expect(new Set(jittered)).toEqual(new Set([75]));
  });

  test('a success takes back a tenth of the failures: who fails every other time waits longer and longer', async () => {
    const {network} = scene();
    for (let i = 0; i < 4; i++) network.mockResolvedValueOnce(status(503));
    track('a');
    await vi.advanceTimersByTimeAsync(20_000);
    expect(network).toHaveBeenCalledTimes(5);
    const waitAfter = async (): Promise<number> => {
      const before = network.mock.calls.length;
      network.mockResolvedValueOnce(status(503));
      track('b');
      await vi.advanceTimersByTimeAsync(5_000);
      expect(network).toHaveBeenCalledTimes(before + 1);
      const failed = Date.now();
      while (network.mock.calls.length < before + 2) await vi.advanceTimersByTimeAsync(100);
      return Date.now() - failed;
    };
    expect(await waitAfter()).toBeGreaterThan(5_000);
    for (let i = 0; i < 60; i++) {
      track('c');
      await vi.advanceTimersByTimeAsync(5_000);
    }
    expect(await waitAfter()).toBeLessThan(1_000);
  });

  test('a clock that is set back, be it by years, neither makes it wait nor loop', async () => {
    const {network} = scene();
    network.mockResolvedValueOnce(status(503));
    track('a');
    await vi.advanceTimersByTimeAsync(5000);
    vi.setSystemTime(Date.UTC(2020, 0, 1));
    track('b');
    const timers = vi.spyOn(globalThis, 'setTimeout');
    await vi.advanceTimersByTimeAsync(6000);
    expect(network).toHaveBeenCalledTimes(3);
    expect(timers.mock.calls.length).toBeLessThan(20);
  });

  test('Retry-After is obeyed, whatever happens', async () => {
    const {client, network} = scene();
    network.mockResolvedValueOnce(status(429, {'retry-after': '7'}));
    track('a');
    await vi.advanceTimersByTimeAsync(5000);
    client.captureException(new Error('urgent'));
    dispatchEvent(new Event('online'));
    hide();
    await vi.advanceTimersByTimeAsync(6999);
    expect(network).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2);
    expect(network.mock.calls.length).toBeGreaterThan(1);
  });

  test('an absurd Retry-After neither fires at once nor silences for ever', async () => {
    const {network} = scene();
    network.mockResolvedValueOnce(status(503, {'retry-after': '99999999999'}));
    track('a');
    await vi.advanceTimersByTimeAsync(23 * 60 * MINUTE);
    expect(network).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2 * 60 * MINUTE);
    expect(network).toHaveBeenCalledTimes(2);
  });

  test('a Retry-After that makes no sense is ignored', async () => {
    const {network} = scene();
    network.mockResolvedValueOnce(status(503, {'retry-after': 'soon'}));
    track('a');
    await vi.advanceTimersByTimeAsync(6000);
    expect(network).toHaveBeenCalledTimes(2);
  });

  test('when the network is back, a back-off for its absence ends', async () => {
    const {network} = scene();
    network.mockRejectedValue(new TypeError('offline'));
    track('a');
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    network.mockResolvedValue(status(202));
    const before = network.mock.calls.length;
    dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(1);
    expect(network.mock.calls.length).toBe(before + 1);
  });

  test('413 splits until it fits; a single event that is too large is dropped and counted', async () => {
    const {network, envelopes, flush} = scene();
    network.mockImplementation(async (_url, init) => {
      const {events} = JSON.parse(init.body as string);
      return status(events.length > 2 || events.some(({name}: {name: string}) => name === 'huge') ? 413 : 202);
    });
    for (const name of ['a', 'b', 'huge', 'c', 'd']) track(name);
    await flush();
    const accepted = envelopes()
      .filter(({events}) => events.length <= 2 && events.every(({name}) => name !== 'huge'))
      .flatMap(({events}) => events.map(({name}) => name));
    expect(accepted.sort()).toEqual(['a', 'b', 'c', 'd']);
    track('after');
    await flush();
    expect(envelopes().at(-1)!.discarded).toEqual([{reason: 'http_413', kind: 'track', count: 1}]);
  });

  test.each([400, 401, 403, 404])('%i: dropped, not sent again, counted', async (code) => {
    const {network, envelopes, flush} = scene();
    const reason = `http_${code}`;
    network.mockResolvedValueOnce(status(code));
    track('a');
    captureMessage('b');
    await flush();
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(network).toHaveBeenCalledTimes(1);
    track('c');
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
    const {network, envelopes, flush} = scene();
    const body = JSON.stringify({accepted: 1, rejected: [{index: 1, code: 'too_deep', message: ''}, {index: 99}]});
    network.mockResolvedValueOnce(new Response(body, {status: 202}));
    track('a');
    captureMessage('b');
    await flush();
    track('c');
    await flush();
    expect(envelopes()[1]!.discarded).toEqual([{reason: 'rejected', kind: 'message', count: 1}]);
  });

  test('an accepted answer with a body that makes no sense is still an accepted answer', async () => {
    const {network, flush} = scene();
    network.mockResolvedValueOnce(new Response('<html>', {status: 202}));
    track('a');
    await flush();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(network).toHaveBeenCalledTimes(1);
  });
});

describe('the counts of discarded events', () => {
  test('go along with one batch, and again when that is sent again', async () => {
    const {client, network, envelopes, flush} = scene();
    client.discard('queue_overflow', {kind: 'vital', weight: 3});
    network.mockResolvedValueOnce(status(503));
    track('a');
    await flush();
    client.discard('queue_overflow', {kind: 'vital', weight: 2});
    await vi.advanceTimersByTimeAsync(1000);
    track('b');
    await flush();
    expect(envelopes().map(({discarded}) => discarded)).toEqual([
      [{reason: 'queue_overflow', kind: 'vital', count: 3}],
      [{reason: 'queue_overflow', kind: 'vital', count: 3}],
      [{reason: 'queue_overflow', kind: 'vital', count: 2}],
    ]);
  });

  test.each([
    ['rejected', () => new Response('{"rejected":[{"index":0}]}', {status: 202})],
    ['http_400', () => status(400)],
  ])('are of what an event stands for: %s', async (reason, answer) => {
    const {client, network, envelopes, flush} = scene();
    network.mockResolvedValueOnce(answer());
    client.capture({kind: 'track', weight: 500});
    await flush();
    track('next');
    await flush();
    expect(envelopes()[1]!.discarded).toEqual([{reason, kind: 'track', count: 500}]);
  });

  test('are of what an event stands for: queue_overflow', async () => {
    const {client, envelopes, flush} = scene();
    client.capture({kind: 'track', weight: 500});
    for (let i = 0; i < 1_000; i++) captureMessage('more');
    await flush();
    expect(envelopes()[0]!.discarded).toEqual([{reason: 'queue_overflow', kind: 'track', count: 500}]);
  });

  test('are whole numbers, as the receiver wants them, whatever events weigh', async () => {
    const {client, envelopes, flush} = scene({beforeSend: () => null});
    for (const weight of [10 / 3, 10 / 3, 10 / 3 + 0.1]) client.capture({kind: 'a', weight});
    for (const [kind, weight] of Object.entries({b: NaN, c: Infinity, d: 0.2, e: '7', f: null})) client.capture({kind, weight: weight as number});
    await flush();
    expect(envelopes()[0]!.discarded!.map(({kind, count}) => [kind, count])).toEqual([['a', 10], ['b', 1], ['c', 1], ['d', 1], ['e', 7], ['f', 1]]);
  });

  test('are told when the page is left even when there is no event to tell them with', () => {
    const {client, envelopes} = scene();
    client.discard('queue_overflow', {kind: 'vital', weight: 3});
    hide();
    expect(envelopes()).toMatchObject([{events: [], discarded: [{reason: 'queue_overflow', kind: 'vital', count: 3}]}]);
  });

  test('ten thousand events of an outage stay within bounds; all that arrive, arrive once, and the rest is counted', async () => {
    const {network, envelopes} = scene();
    network.mockRejectedValue(new TypeError('offline'));
    for (let i = 0; i < 10_000; i++) track('e', {i});
    await vi.advanceTimersByTimeAsync(1000);
    network.mockClear();
    network.mockResolvedValue(status(202));
    dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(100);
    const ids = envelopes().flatMap(({events}) => events.map(({id}) => id));
    expect(ids).toHaveLength(1000);
    expect(new Set(ids).size).toBe(1000);
    const dropped = envelopes().flatMap(({discarded}) => discarded ?? []);
    expect(dropped.reduce((sum, {count}) => sum + count, 0)).toBe(10_000 - 1000);
    expect(dropped.every(({reason, kind}) => reason === 'queue_overflow' && kind === 'track')).toBe(true);
  });

  test('errors of an outage outlive what is no error', async () => {
    const {client, network, events} = scene();
    network.mockRejectedValue(new TypeError('offline'));
    client.captureException(new Error('first'));
    for (let i = 0; i < 2_000; i++) track('e', {i});
    network.mockClear();
    network.mockResolvedValue(status(202));
    dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(100);
    expect(events().filter(({kind}) => kind === 'error')).toHaveLength(1);
  });
});

describe('flush and close', () => {
  test('flush is true when all has been answered', async () => {
    const {client} = scene();
    track('a');
    const flushed = client.flush();
    await vi.advanceTimersByTimeAsync(100);
    await expect(flushed).resolves.toBe(true);
  });

  test('flush is false when time runs out, and the events stay', async () => {
    const {client, network, events} = scene();
    network.mockResolvedValueOnce(status(503, {'retry-after': '10'}));
    track('a');
    const flushed = client.flush(500);
    await vi.advanceTimersByTimeAsync(600);
    await expect(flushed).resolves.toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(events().map(({name}) => name)).toEqual(['a', 'a']);
  });

  test('flush also sends what is captured while it waits', async () => {
    const {client, network, events} = scene();
    let answer: (response: Response) => void = () => {};
    network.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    track('a');
    const flushed = client.flush(1000);
    track('b');
    answer(status(202));
    await vi.advanceTimersByTimeAsync(400);
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
    track('last');
    const closed = client.close();
    track('too late');
    await vi.advanceTimersByTimeAsync(100);
    await expect(closed).resolves.toBe(true);
    hide();
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(events().map(({name}) => name)).toEqual(['last']);
    expect(network).toHaveBeenCalledTimes(1);
    await expect(client.close()).resolves.toBe(true);
  });
});

test('a pause lasts: nothing is sent when the network is back or the page is left', async () => {
  const {client, network, events} = scene();
  track('waits');
  client.discard('queue_overflow', {kind: 'vital'});
  pause();
  track('not seen');
  dispatchEvent(new Event('online'));
  hide();
  void client.flush(100);
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(network).not.toHaveBeenCalled();
  resume();
  await vi.advanceTimersByTimeAsync(1);
  expect(events().map(({name}) => name)).toEqual(['waits']);
});

test('closing tells what was given up', async () => {
  const {client, envelopes} = scene();
  client.discard('queue_overflow', {kind: 'vital'});
  void client.close();
  await vi.advanceTimersByTimeAsync(100);
  expect(envelopes()).toMatchObject([{events: [], discarded: [{reason: 'queue_overflow'}]}]);
});

describe('when the page is hidden', () => {
  test('everything goes at once, before the handler returns', () => {
    const {network} = scene();
    track('a');
    hide();
    expect(network).toHaveBeenCalledTimes(1);
    expect(network.mock.calls[0]![1].keepalive).toBe(true);
  });

  test('pagehide does the same', () => {
    const {network} = scene();
    track('a');
    dispatchEvent(new Event('pagehide'));
    expect(network).toHaveBeenCalledTimes(1);
  });

  test('becoming visible sends nothing', () => {
    const {network} = scene();
    track('a');
    hide('visible');
    expect(network).not.toHaveBeenCalled();
  });

  test('what an integration captures on hiding is in that flush', () => {
    const {client, events} = scene();
    client.onLeave(() => track('final'));
    hide();
    expect(events().map(({name}) => name)).toEqual(['final']);
  });

  /** 40 events of about 3 kB: two and a half batches. */
  function fill(): void {
    for (let i = 0; i < 40; i++) track('e', {i, text: 'x'.repeat(3000)});
  }

  test('what is beyond the keepalive budget and refused by sendBeacon is kept, and sent if the page lives on', async () => {
    const {network, events} = scene({transports: [fetchTransport, beaconTransport]});
    const answers: ((response: Response) => void)[] = [];
    network.mockImplementation(() => new Promise((resolve) => answers.push(resolve)));
    const sendBeacon = vi.fn(() => false);
    vi.stubGlobal('navigator', Object.assign(Object.create(navigator), {sendBeacon}));
    fill();
    hide();
    const kept = network.mock.calls.filter(([, init]) => init.keepalive);
    expect(kept.reduce((sum, [, init]) => sum + byteLength(init.body as string), 0)).toBeLessThanOrEqual(60_000);
    expect(sendBeacon).toHaveBeenCalledWith('https://monitor.example/api/shop/events?key=public', expect.any(String));
    expect(events().length).toBeLessThan(40);
    answers.forEach((answer) => answer(status(202)));
    network.mockImplementation(async () => status(202));
    await vi.advanceTimersByTimeAsync(5000);
    expect(events().map(({data}) => data.i).sort((a, b) => a - b)).toEqual(Array.from({length: 40}, (_, i) => i));
  });

  test('nobody knows what became of a beacon: it goes again, as a repeat, if the page lives on', async () => {
    const {network, envelopes} = scene({transports: [beaconTransport, fetchTransport]});
    const sendBeacon = vi.fn((_url: string, _body: string) => true);
    vi.stubGlobal('navigator', Object.assign(Object.create(navigator), {sendBeacon}));
    track('a');
    hide();
    expect(network).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(envelopes()).toMatchObject([{attempt: 2, events: JSON.parse(sendBeacon.mock.calls[0]![1]).events}]);
  });

  test('what a fetch that never ends holds is offered to the page that is left', async () => {
    const sendBeacon = vi.fn((_url: string, _body: string) => true);
    vi.stubGlobal('navigator', Object.assign(Object.create(navigator), {sendBeacon}));
    const {network} = scene({transports: [autoTransport]});
    const answers: (() => void)[] = [];
    network.mockImplementation(() => new Promise((resolve) => answers.push(() => resolve(status(202)))));
    track('a');
    await vi.advanceTimersByTimeAsync(35_000);
    track('b');
    hide();
    expect(sendBeacon.mock.calls.flatMap(([, body]) => JSON.parse(body).events.map(({name}: {name: string}) => name))).toEqual(['a', 'b']);
    // For the budget of the tests after this one.
    answers.forEach((answer) => answer());
    await vi.advanceTimersByTimeAsync(1);
  });

  test('what was too large when the page was hidden goes in halves if the page lives on', async () => {
    const {network, events} = scene();
    // An answer that takes longer than the timer of what was captured.
    network.mockImplementationOnce(() => new Promise((resolve) => setTimeout(resolve, 6000, status(413))));
    track('a');
    track('b');
    hide();
    await vi.advanceTimersByTimeAsync(6000);
    network.mockClear();
    await vi.advanceTimersByTimeAsync(6000);
    expect(events().map(({name}) => name)).toEqual(['a', 'b']);
  });

  test('an own back-off is ignored for what may be the last chance', async () => {
    const {network, envelopes} = scene();
    network.mockResolvedValueOnce(status(503));
    track('a');
    await vi.advanceTimersByTimeAsync(5000);
    hide();
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
  });

  test('what a hidden page sent and was never answered is sent again, however late that is known', async () => {
    const {network, envelopes} = scene();
    let fail = (): void => {};
    network.mockImplementationOnce(() => new Promise((_resolve, reject) => (fail = () => reject(new TypeError('timeout')))));
    track('a');
    hide();
    await vi.advanceTimersByTimeAsync(30_000);
    hide('visible');
    fail();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
  });

  test('a failed send of a hidden page is repeated when the page lives on', async () => {
    const {network, envelopes} = scene();
    network.mockResolvedValueOnce(status(503));
    track('a');
    hide();
    await vi.advanceTimersByTimeAsync(6000);
    expect(envelopes()).toMatchObject([{attempt: 1}, {attempt: 2}]);
    expect(envelopes()[0]!.events).toEqual(envelopes()[1]!.events);
  });
});

describe('the keepalive budget', () => {
  const body = (bytes: number): string => 'x'.repeat(bytes);
  /** Requests that are answered when told to. */
  const pending = () => {
    const answers: (() => void)[] = [];
    const network = vi.fn((_url: string, _init: RequestInit) => new Promise<Response>((resolve) => answers.push(() => resolve(status(202)))));
    vi.stubGlobal('fetch', network);
    return {network, answers};
  };

  test('is counted over all requests in flight and all clients, as UTF-8, and given back', async () => {
    const {network, answers} = pending();
    const [one, other] = [fetchTransport('https://h/'), fetchTransport('https://i/')];
    const sent = [one('é'.repeat(20_000), false), other(body(20_001), false), other(body(20_000), false)];
    expect(network.mock.calls.map(([, {keepalive}]) => keepalive)).toEqual([true, false, true]);
    expect(one('x', true)).toBeUndefined();
    answers.forEach((answer) => answer());
    await Promise.all(sent);
    const last = one(body(60_000), true);
    expect(last).toBeDefined();
    answers.at(-1)!();
    await last;
  });

  test('is given back when a request fails', async () => {
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('x')));
    const transport = fetchTransport('https://h/');
    for (let i = 0; i < 20; i++) await expect(transport(body(60_000), true)).rejects.toThrow();
  });
});
