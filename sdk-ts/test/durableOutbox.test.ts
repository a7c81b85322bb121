import 'fake-indexeddb/auto';
import {IDBFactory} from 'fake-indexeddb';
import {afterEach, beforeEach, describe, expect, test, vi, type Mock} from 'vitest';
import {createClient} from '../src/client.js';
import {durableOutbox} from '../src/integrations/durableOutbox.js';
import type {Client} from '../src/types.js';
import {DSN, hide, status, tearDown, type SentEnvelope} from './scene.js';

const NAME = 'monitor-kit https://monitor.example/api/shop/events?key=public';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Visit {
  client: Client;
  network: Mock<(url: string, init: RequestInit) => Promise<Response>>;
  envelopes(): SentEnvelope[];
  pass(ms: number): Promise<void>;
  /** The end without a word, as in a crash; of all pages that are open. */
  die(): void;
}

let listeners: [EventTarget, Parameters<EventTarget['removeEventListener']>][] = [];
let unhandled: unknown[] = [];
const note = (reason: unknown): number => unhandled.push(reason);

function die(): void {
  // A new clock, on which no timer is set.
  vi.useFakeTimers({now: Date.now()});
  for (const [target, args] of listeners.splice(0)) target.removeEventListener(...args);
}

beforeEach(() => {
  vi.useFakeTimers({now: Date.UTC(2026, 0, 1)});
  vi.stubGlobal('indexedDB', new IDBFactory());
  for (const target of [document, window]) {
    const add = target.addEventListener.bind(target);
    vi.spyOn(target, 'addEventListener').mockImplementation((type: string, listener: any, how?: any) => {
      listeners.push([target, [type, listener, how]]);
      add(type, listener, how);
    });
  }
  unhandled = [];
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  die();
  await tearDown();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

/** A page whose receiver answers so; that has no network when left out. */
function visit(answer?: () => Response): Visit {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('visible');
  const network: Visit['network'] = vi.fn(async () => {
    if (answer) return answer();
    throw new TypeError('offline');
  });
  vi.stubGlobal('fetch', network);
  return {
    client: createClient({dsn: DSN, integrations: [durableOutbox()]}),
    network,
    envelopes: () => network.mock.calls.map(([, init]) => JSON.parse(init.body as string)),
    pass: async (ms) => void (await vi.advanceTimersByTimeAsync(ms)),
    die,
  };
}

const ok = (): Response => status(202);
const track = ({client}: Visit, name: string): void => client.capture({kind: 'track', name});
const names = ({envelopes}: Visit): string[] => envelopes().flatMap(({events}) => events.map(({name}) => name));

/** Runs IndexedDB's tasks, which are timers here. */
async function result<Value>(request: IDBRequest<Value>): Promise<Value> {
  let done = false;
  request.onsuccess = request.onerror = () => (done = true);
  for (let i = 0; !done && i < 50; i++) await vi.advanceTimersByTimeAsync(1);
  return request.result;
}

async function storeOf(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const opening = indexedDB.open(NAME);
  opening.onupgradeneeded = () => opening.result.createObjectStore('visits');
  const database = await result(opening);
  database.onversionchange = () => database.close();
  return database.transaction('visits', mode).objectStore('visits');
}

const stored = async (): Promise<unknown[]> => result((await storeOf('readonly')).getAll());
const put = async (value: unknown, key: IDBValidKey): Promise<unknown> => result((await storeOf('readwrite')).put(value, key));

describe('what a page could not send', () => {
  test('is sent by the next visit as a repeat with the same ids, and then no longer kept', async () => {
    const first = visit();
    track(first, 'outage');
    await first.pass(6_000);
    hide();
    await first.pass(10);
    first.die();
    expect(await stored()).toHaveLength(1);

    const next = visit(ok);
    await next.pass(12_000);
    const [tried] = first.envelopes();
    const [sent] = next.envelopes();
    // A repeat; how often it was tried before is a matter of chance.
    expect(sent!.attempt).toBeGreaterThan(1);
    expect(sent!.events).toEqual(tried!.events);
    expect(sent!.page.id).toBe(tried!.page.id);
    await next.pass(8_000);
    expect(names(next)).toEqual(['outage']);
    expect(await stored()).toEqual([]);
  });

  test('survives several visits of an outage', async () => {
    for (const name of ['a', 'b', 'c']) {
      const page = visit();
      track(page, name);
      await page.pass(6_000);
      hide();
      await page.pass(10);
      page.die();
    }
    const next = visit(ok);
    await next.pass(20_000);
    expect(names(next).sort()).toEqual(['a', 'b', 'c']);
    expect(await stored()).toEqual([]);
  });

  test('survives a page that is left before anything was tried', async () => {
    const first = visit();
    await first.pass(100);
    track(first, 'last');
    hide();
    await first.pass(10);
    first.die();
    const next = visit(ok);
    await next.pass(10_000);
    expect(next.envelopes()).toMatchObject([{attempt: 2, events: [{name: 'last'}]}]);
  });

  test('survives a crash in an outage, and is sent once the page was silent for three minutes', async () => {
    const first = visit();
    track(first, 'crash');
    await first.pass(21_000);
    first.die();
    const next = visit(ok);
    await next.pass(2 * MINUTE + 1_000);
    expect(names(next)).toEqual([]);
    next.die();
    vi.setSystemTime(Date.now() + 2 * MINUTE);
    const later = visit(ok);
    await later.pass(10_000);
    expect(names(later)).toEqual(['crash']);
  });

  test('is left alone while its page lives and says so, for hours', async () => {
    const first = visit();
    track(first, 'mine');
    await first.pass(HOUR);
    const other = visit(ok);
    await other.pass(10 * MINUTE);
    expect(names(other)).toEqual([]);
    first.network.mockImplementation(async () => ok());
    await first.pass(6 * MINUTE);
    expect(names(first).at(-1)).toBe('mine');
    expect(await stored()).toEqual([]);
  });

  test('is a repeat from any page, once others may send it', async () => {
    const hidden = visit();
    await hidden.pass(100);
    hide();
    track(hidden, 'in the background');
    await hidden.pass(1_100);
    expect(hidden.envelopes()).toEqual([]);
    expect(await stored()).toHaveLength(1);
    hidden.network.mockImplementation(async () => ok());
    await hidden.pass(10_000);
    expect(hidden.envelopes()).toMatchObject([{attempt: 2}]);
    expect(await stored()).toEqual([]);
  });

  test('is taken over by one of two pages', async () => {
    const first = visit();
    await first.pass(100);
    track(first, 'once');
    hide();
    await first.pass(10);
    first.die();
    const one = visit(ok);
    const other = visit(ok);
    await other.pass(30_000);
    expect([...names(one), ...names(other)]).toEqual(['once']);
  });

  test('expires after 72 hours, which is counted', async () => {
    const first = visit();
    await first.pass(100);
    track(first, 'old');
    first.client.capture({kind: 'error', name: 'folded', weight: 500});
    hide();
    await first.pass(10);
    first.die();
    vi.setSystemTime(Date.now() + 73 * HOUR);
    const next = visit(ok);
    await next.pass(8_000);
    track(next, 'new');
    await next.pass(8_000);
    expect(names(next)).toEqual(['new']);
    expect(next.envelopes()[0]!.discarded).toEqual([{reason: 'expired', kind: 'track', count: 1}, {reason: 'expired', kind: 'error', count: 500}]);
    expect(await stored()).toEqual([]);
  });

  test('never exceeds what a queue holds; what is too much is counted', async () => {
    for (let page = 0; page < 3; page++) {
      const set = visit();
      await set.pass(100);
      for (let i = 0; i < 30; i++) set.client.capture({kind: 'track', name: 'x', data: {text: 'x'.repeat(9_000)}});
      hide();
      await set.pass(10);
      set.die();
    }
    const next = visit(ok);
    await next.pass(30_000);
    track(next, 'end');
    await next.pass(8_000);
    const lost = next.envelopes().flatMap(({discarded = []}) => discarded);
    expect(lost).toMatchObject([{reason: 'queue_overflow', kind: 'track'}]);
    expect(names(next).length + lost[0]!.count).toBe(91);
    expect(names(next).length).toBeGreaterThan(50);
  });

  test('is stored after close, and sent by the next visit', async () => {
    const first = visit();
    track(first, 'closing');
    await first.pass(100);
    void first.client.close();
    await first.pass(10_000);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
    first.die();
    const next = visit(ok);
    await next.pass(10_000);
    expect(names(next)).toEqual(['closing']);
  });

  test('what close still delivers is not kept', async () => {
    const first = visit(ok);
    await first.pass(100);
    track(first, 'closing');
    void first.client.close();
    await first.pass(10_000);
    expect(names(first)).toEqual(['closing']);
    expect(await stored()).toEqual([]);
  });
});

test('an idle page does nothing', async () => {
  const set = visit(ok);
  track(set, 'x');
  await set.pass(20_000);
  expect(names(set)).toEqual(['x']);
  expect(await stored()).toEqual([]);
  const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction');
  await set.pass(HOUR);
  expect(transaction).not.toHaveBeenCalled();
});

test('in an outage only what changed is written again', async () => {
  const set = visit();
  track(set, 'x');
  await set.pass(10_000);
  const put = vi.spyOn(IDBObjectStore.prototype, 'put');
  await set.pass(10 * MINUTE);
  // Once a minute, and after each failed send.
  expect(put.mock.calls.length).toBeLessThan(25);
  expect(put.mock.calls.length).toBeGreaterThanOrEqual(10);
});

test('a page that comes back after another one took over what it left does not lose what it still holds', async () => {
  const first = visit();
  track(first, 'cached');
  hide();
  await first.pass(10);
  const next = visit();
  await next.pass(6_000);
  hide('visible');
  await first.pass(5_000);
  first.network.mockImplementation(async () => ok());
  window.dispatchEvent(new Event('online'));
  await first.pass(30_000);
  expect(names(first).filter((name) => name === 'cached').length).toBeGreaterThan(0);
  expect(first.envelopes().slice(1).every(({attempt}) => attempt > 1)).toBe(true);
});

describe('without a store that works', () => {
  const works = async (): Promise<void> => {
    const set = visit(ok);
    await set.pass(5_000);
    track(set, 'a');
    await set.pass(10_000);
    hide();
    await set.pass(5_000);
    hide('visible');
    track(set, 'b');
    await set.pass(10_000);
    expect(names(set)).toEqual(['a', 'b']);
    expect(set.envelopes().every(({discarded}) => !discarded?.length)).toBe(true);
  };
  const denied = (): never => {
    throw new DOMException('denied', 'SecurityError');
  };

  test('missing', async () => {
    vi.stubGlobal('indexedDB', undefined);
    await works();
  });

  test('forbidden', async () => {
    vi.stubGlobal('indexedDB', {open: denied});
    await works();
  });

  test('an open that fails', async () => {
    await result(indexedDB.open(NAME, 7));
    const open = indexedDB.open.bind(indexedDB);
    vi.spyOn(indexedDB, 'open').mockImplementation((name) => open(name, 3));
    await works();
  });

  test('an open that is blocked for ever', async () => {
    vi.stubGlobal('indexedDB', {
      open: () => ({
        get result() {
          throw new DOMException('pending', 'InvalidStateError');
        },
      }),
    });
    await works();
  });

  test('a database of somebody else', async () => {
    const opening = indexedDB.open(NAME);
    opening.onupgradeneeded = () => opening.result.createObjectStore('theirs');
    (await result(opening)).close();
    await works();
  });

  test('a full disk', async () => {
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    const set = visit();
    track(set, 'a');
    await set.pass(10_000);
    hide();
    await set.pass(10_000);
    hide('visible');
    set.network.mockImplementation(async () => ok());
    await set.pass(6 * MINUTE);
    expect(names(set).at(-1)).toBe('a');
  });

  test('a connection that the browser closes', async () => {
    const set = visit();
    track(set, 'a');
    await set.pass(10_000);
    const deleting = indexedDB.deleteDatabase(NAME);
    await result(deleting);
    set.network.mockImplementation(async () => ok());
    await set.pass(6 * MINUTE);
    expect(names(set).at(-1)).toBe('a');
  });
});

describe('what is stored by somebody else', () => {
  const good = {id: '0'.repeat(32), page: {id: 'p'}, scope: {}, items: [{json: '{}', kind: 'x', bytes: 512}], attempt: 1, discarded: []};
  const visitOf = (batch: object): string => JSON.stringify([0, [batch]]);
  const garbage: [string, unknown][] = [
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['an object', {alive: 0}],
    ['text', 'hello'],
    ['JSON of null', 'null'],
    ['JSON of a text', '"hello"'],
    ['batches that are none', '[0,5]'],
    ['a batch that is null', '[0,[null]]'],
    ['no items', visitOf({...good, items: undefined})],
    ['an item that is null', visitOf({...good, items: [null]})],
    ['an item without bytes', visitOf({...good, items: [{json: '{}', kind: 'x'}]})],
    ['no scope', visitOf({...good, scope: undefined})],
    ['losses that are none', visitOf({...good, discarded: [null]})],
    ['an id that is none', visitOf({...good, id: 5})],
    ['an id without a time', visitOf({...good, id: 'hello'})],
    ['a date of the far past', visitOf(good)],
  ];
  test.each(garbage)('%s breaks nothing and is deleted', async (_, value) => {
    await put(value, 'b');
    await put(value, 17);
    const set = visit(ok);
    await set.pass(5_000);
    track(set, 'a');
    await set.pass(10_000);
    expect(names(set)).toEqual(['a']);
    expect(await stored()).toEqual([]);
  });

  test('a clock that was wrong by years does not keep others from sending it', async () => {
    const minute = Math.floor(Date.UTC(2036, 0, 1) / MINUTE);
    await put(JSON.stringify([minute, [{...good, id: Date.now().toString(16).padStart(12, '0') + '0'.repeat(20)}]]), 'b');
    const set = visit(ok);
    await set.pass(12_000);
    expect(set.envelopes()).toMatchObject([{attempt: 2, page: {id: 'p'}}]);
  });
});

test.each([
  ['throws', () => {
    throw new Error('broken');
  }],
  ['rejects', () => Promise.reject(new Error('broken'))],
  ['answers nonsense', () => Promise.resolve({status: 200, rejected: [null, {index: 9}, 5]})],
])('a transport of the host that %s is asked again after a while, not all the time', async (_, transport) => {
  const ask = vi.fn(transport as unknown as () => undefined);
  const client = createClient({dsn: DSN, integrations: [], transports: [() => ask]});
  client.capture({kind: 'track', name: 'x'});
  await vi.advanceTimersByTimeAsync(2 * MINUTE);
  expect(ask.mock.calls.length).toBeGreaterThan(0);
  expect(ask.mock.calls.length).toBeLessThan(40);
});
