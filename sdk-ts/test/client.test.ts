import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import * as sdk from '../src/index.js';
import type {Integration, MonitorEvent} from '../src/types.js';
import {captureMessage, setContext, setTag, setUser, track, withScope} from '../src/api.js';
import {DSN, scene, status, tearDown} from './scene.js';

afterEach(tearDown);

describe('what is captured', () => {
  test('an exception: name, message, stack, how it was noticed, and what came before', async () => {
    const {client, events, flush} = scene();
    client.addBreadcrumb({message: 'opened the cart', data: {items: 2}});
    const error = new TypeError('x is undefined');
    client.captureException(error, {data: {order: 7}});
    await flush();
    expect(events()[0]).toMatchObject({
      kind: 'error',
      name: 'TypeError',
      data: {
        message: 'x is undefined',
        stack: error.stack,
        mechanism: 'manual',
        handled: true,
        order: 7,
        breadcrumbs: [{category: 'custom', message: 'opened the cart', data: {items: 2}, time: expect.any(Number)}],
      },
    });
  });

  test('an error leaves a breadcrumb for the next one', async () => {
    const {client, events, flush} = scene();
    client.captureException(new Error('first'));
    client.captureException(new Error('second'));
    await flush();
    expect(events().map(({data}) => data.breadcrumbs)).toMatchObject([[], [{category: 'error', message: 'Error: first'}]]);
  });

  test('an error carries the last thirty breadcrumbs', async () => {
    const {client, events, flush} = scene();
    for (let i = 0; i < 40; i++) client.addBreadcrumb({message: `${i}`});
    client.captureException(new Error('x'));
    await flush();
    const messages = events()[0]!.data.breadcrumbs.map(({message}: {message: string}) => message);
    expect(messages).toEqual(Array.from({length: 30}, (_, i) => `${i + 10}`));
  });

  test('a message has its level as name and attribute', async () => {
    const {events, flush} = scene();
    captureMessage('low stock', 'warning');
    captureMessage('plain');
    await flush();
    expect(events()).toMatchObject([
      {kind: 'message', name: 'warning', attributes: {level: 'warning'}, data: {message: 'low stock'}},
      {kind: 'message', name: 'info'},
    ]);
  });

  test('what is tracked is what it was at that moment, value and properties', async () => {
    const {events, flush} = scene();
    const properties = {items: [{sku: 'a'}]};
    track('purchase', properties, 12.5);
    properties.items[0]!.sku = 'changed later';
    track('no value', undefined, NaN);
    await flush();
    expect(events()).toMatchObject([
      {kind: 'track', name: 'purchase', value: 12.5, data: {items: [{sku: 'a'}]}},
      {kind: 'track', name: 'no value'},
    ]);
    expect(events()[1]!.value ?? undefined).toBeUndefined();
  });

  test('sequence numbers count the events of a page without gaps', async () => {
    const {client, envelopes, flush} = scene();
    track('a');
    track('b');
    client.startPage('');
    track('c');
    await flush();
    expect(envelopes().map(({events}) => events.map(({seq}) => seq))).toEqual([[0, 1], [0]]);
  });

  test('nothing that a page can pass makes a method throw, or takes it away from others', async () => {
    const {client, events, flush} = scene();
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('no');
        },
        ownKeys() {
          throw new Error('no');
        },
      },
    ) as any;
    for (let i = 0; i < 5; i++) {
      for (const value of [hostile, null, undefined, Symbol('x'), 5, {toString: null}] as any[]) {
        client.captureException(value, value);
        captureMessage(value, value);
        track(value, value, value);
        client.addBreadcrumb(value);
        setUser(value);
        setTag(value, value);
        client.capture(value);
        client.capture({kind: 'x', name: value, value, attributes: value, data: value});
      }
    }
    setUser(null);
    track('still works');
    client.captureException(new Error('still works'));
    await flush();
    expect(events().filter(({name}) => name === 'still works')).toHaveLength(1);
    expect(events().filter(({data}) => data?.message === 'still works')).toHaveLength(1);
  });
});

describe('the envelope', () => {
  test('says what its events share', async () => {
    document.title = 'Cart';
    history.replaceState(null, '', '/cart/17?step=2&token=abc');
    const {envelopes, flush} = scene({
      release: '1.4.0',
      environment: 'production',
      tags: {tenant: 'acme'},
      user: {id: '42'},
      route: ({pathname}) => pathname.replace(/\d+/, ':id'),
    });
    track('a');
    await flush();
    expect(envelopes()[0]).toEqual({
      v: 1,
      sdk: {name: 'monitor-kit.browser', version: expect.any(String)},
      sent_at: Date.UTC(2026, 0, 1),
      attempt: 1,
      page: {
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        url: `${location.origin}/cart/17?step=2&token=[scrubbed]`,
        route: '/cart/:id',
        referrer: '',
        title: 'Cart',
        seq: 1,
      },
      discarded: [],
      session: {id: expect.any(String), visitor: expect.any(String), user: {id: '42'}},
      release: '1.4.0',
      environment: 'production',
      device: expect.objectContaining({screen: expect.stringMatching(/^\d+x\d+$/), viewport: expect.stringMatching(/^\d+x\d+$/)}),
      tags: {tenant: 'acme'},
      events: [expect.objectContaining({name: 'a'})],
    });
  });

  test('holds events of one page, in the state of their capture', async () => {
    const {client, envelopes, flush} = scene();
    const first = client.page;
    track('on first');
    client.startPage('');
    track('on second');
    client.capture({kind: 'vital', name: 'LCP'}, first);
    await flush();
    expect(envelopes().map(({page, events}) => [page.id, events.map(({name}) => name)])).toEqual([
      [first.id, ['on first', 'LCP']],
      [client.page.id, ['on second']],
    ]);
    expect(first.id).not.toBe(client.page.id);
  });

  test('does not give one user the events of another', async () => {
    const {envelopes, flush} = scene();
    setUser({id: 'ada'});
    track('by ada');
    setUser({id: 'bob'});
    track('by bob');
    setUser(null);
    track('by nobody');
    await flush();
    expect(envelopes().map(({session, events}) => [session.user?.id, events[0]!.name])).toEqual([
      ['ada', 'by ada'],
      ['bob', 'by bob'],
      [undefined, 'by nobody'],
    ]);
  });

  test('the id of a user is a text, also when the page has a number', async () => {
    const {envelopes, flush} = scene({user: {id: 42, plan: 'pro'}});
    track('e');
    await flush();
    expect(envelopes()[0]!.session.user).toEqual({id: '42', plan: 'pro'});
  });

  test.each<[unknown, unknown]>([
    ['42', {id: '42'}],
    [42, {id: '42'}],
    [0, {id: '0'}],
    [{id: 7, plan: 'pro', age: 30, admin: true, list: [1], nested: {a: 1}, none: null, empty: ''}, {id: '7', plan: 'pro', age: 30}],
    [{id: null, name: 'A'}, {name: 'A'}],
    [null, undefined],
    [undefined, undefined],
    ['', undefined],
    [true, {id: 'before'}],
    [() => 1, {id: 'before'}],
    [Symbol('x'), {id: 'before'}],
  ])('the user %j is told as the receiver reads it', async (user, sent) => {
    const {envelopes, flush} = scene({user: {id: 'before'}});
    setUser(user as any);
    track('e');
    await flush();
    expect(envelopes()[0]!.session.user).toEqual(sent);
  });

  test('tags are texts, can be removed, and take any key', async () => {
    const {envelopes, flush} = scene();
    setTag('a', '1');
    setTag('b', '2');
    setTag('a', null);
    setTag('__proto__', 'x');
    setTag('n', 5 as any);
    track('e');
    await flush();
    expect(Object.entries(envelopes()[0]!.tags)).toEqual([
      ['b', '2'],
      ['__proto__', 'x'],
      ['n', '5'],
    ]);
    expect(({} as any).x).toBeUndefined();
  });

  test('is well-formed whatever texts the page hands over', async () => {
    document.title = 'half \ud83d';
    const {client, network, flush} = scene({user: {id: '\udc00'}, release: '\ud800'});
    track('half \ud83d', {'key \ud83d': 'value \ude00'});
    setTag('\ud83d', '\ud83d');
    client.captureException({name: '\ud83d', message: 'x'.repeat(9_999) + '😀'});
    await flush();
    for (const [, init] of network.mock.calls) expect(init.body).not.toMatch(/\\ud[89a-f]/i);
  });

  test('an event beyond the limit of the receiver is dropped and counted', async () => {
    const {envelopes, flush} = scene();
    track('huge', {parts: Array.from({length: 30}, () => 'x'.repeat(9_000))});
    track('small');
    await flush();
    expect(envelopes()).toMatchObject([{events: [{name: 'small', seq: 0}], discarded: [{reason: 'too_large', kind: 'track', count: 1}]}]);
  });

  test('a route function that throws leaves the path', async () => {
    history.replaceState(null, '', '/path');
    const {client} = scene({
      route: () => {
        throw new Error('no');
      },
    });
    expect(client.page.route).toBe('/path');
  });
});

describe('beforeSend', () => {
  async function sentWith(beforeSend: any): Promise<{events: MonitorEvent[]; discarded: unknown}> {
    const {envelopes, events, flush} = scene({beforeSend: (event) => (event.name === 'control' ? event : beforeSend(event))});
    track('e', {secret: 's'});
    track('control');
    await flush();
    return {events: events().filter(({name}) => name !== 'control'), discarded: envelopes()[0]!.discarded};
  }

  test('can change an event, but not its identity', async () => {
    let original: MonitorEvent | undefined;
    const {events} = await sentWith((event: MonitorEvent) => {
      original = {...event};
      return {...event, id: 'mine', seq: 99, name: 'renamed', value: NaN, attributes: {n: 1}, data: {self: globalThis.document}};
    });
    expect(events[0]).toMatchObject({id: original!.id, seq: 0, name: 'renamed', attributes: {n: '1'}});
    expect(events[0]!.value ?? undefined).toBeUndefined();
  });

  test.each([
    ['null', () => null],
    ['undefined', () => undefined],
    ['false', () => false],
  ])('returning %s drops it, counted', async (_, hook) => {
    expect(await sentWith(hook)).toEqual({events: [], discarded: [{reason: 'before_send', kind: 'track', count: 1}]});
  });

  test.each([
    [
      'that throws',
      () => {
        throw new Error('no');
      },
    ],
    ['that returns a promise', async (event: unknown) => event],
    ['that returns no event', () => 'yes'],
  ])('a hook %s drops it, counted', async (_, hook) => {
    expect(await sentWith(hook)).toEqual({events: [], discarded: [{reason: 'before_send', kind: 'track', count: 1}]});
  });

  test('that always throws never stops being asked: it may be there to keep a secret', async () => {
    const beforeSend = vi.fn(() => {
      throw new Error('no');
    });
    const {envelopes, flush} = scene({beforeSend});
    for (let i = 0; i < 10; i++) track('e');
    await flush();
    expect(beforeSend).toHaveBeenCalledTimes(10);
    expect(envelopes()).toMatchObject([{events: [], discarded: [{reason: 'before_send', kind: 'track', count: 10}]}]);
  });

  test('what the hook captures itself is counted, not captured without end', async () => {
    const {client, envelopes, flush} = scene({
      beforeSend(event) {
        captureMessage('from the hook');
        client.addBreadcrumb({message: 'from the hook'});
        return event;
      },
    });
    track('e');
    await flush();
    expect(envelopes()).toMatchObject([{events: [{name: 'e'}], discarded: [{reason: 'reentrant', kind: 'message', count: 1}]}]);
    expect(envelopes()[0]!.events).toHaveLength(1);
  });
});

test('breadcrumbs with much to say do not cost the error that carries them', async () => {
  const {client, events, flush} = scene();
  for (let i = 0; i < 30; i++) client.addBreadcrumb({message: `${i}`, data: {state: 'x'.repeat(9_000)}});
  client.captureException(new Error('x'));
  await flush();
  expect(events()[0]!.data.breadcrumbs.map(({message}: {message: string}) => message)).toEqual(['27', '28', '29']);
});

test('contexts of many scopes are added once to an event, and leave nothing behind', async () => {
  const {client, events, flush} = scene();
  const process = vi.spyOn(client, 'process');
  for (let i = 0; i < 50; i++) {
    withScope(() => {
      setContext('order', {i});
      if (i === 49) captureMessage('inside');
    });
  }
  captureMessage('outside');
  await flush();
  expect(process).toHaveBeenCalledTimes(1);
  expect(events().map(({data}) => data.contexts)).toEqual([{order: {i: 49}}, undefined]);
});

test('beforeBreadcrumb can change and drop; when it throws, there is no breadcrumb', async () => {
  const {client, events, flush} = scene({
    beforeBreadcrumb(breadcrumb) {
      if (breadcrumb.message === 'throw') throw new Error('no');
      return breadcrumb.message === 'drop' ? null : {...breadcrumb, message: breadcrumb.message.toUpperCase()};
    },
  });
  for (const message of ['throw', 'drop', 'keep']) client.addBreadcrumb({message});
  client.captureException(new Error('x'));
  await flush();
  expect(events()[0]!.data.breadcrumbs.map(({message}: {message: string}) => message)).toEqual(['KEEP']);
});

test.each<[string, () => unknown]>([
  ['a promise', async () => ({message: 'x'})],
  ['a text', () => 'x'],
  ['true', () => true],
  ['a list', () => ['x']],
  ['an object without a message', () => ({category: 'custom'})],
  ['an object whose message is none', () => ({message: {a: 1}})],
])('beforeBreadcrumb that returns %s drops the breadcrumb', async (_, beforeBreadcrumb) => {
  const {client, events, flush} = scene({beforeBreadcrumb: beforeBreadcrumb as any});
  client.addBreadcrumb({message: 'x'});
  client.captureException(new Error('x'));
  await flush();
  expect(events()[0]!.data.breadcrumbs).toEqual([]);
});

describe('integrations', () => {
  test('one that fails to start does not keep the others from it', async () => {
    const setup = vi.fn();
    const broken: Integration = {
      name: 'broken',
      setup() {
        throw new Error('no');
      },
    };
    const {client, envelopes, flush} = scene({}, [broken, {name: 'fine', setup}]);
    expect(setup).toHaveBeenCalledWith(client);
    track('e');
    await flush();
    expect(envelopes()[0]!.discarded).toEqual([{reason: 'sdk_error', kind: 'error', count: 1}]);
  });

  test('are undone in reverse order on close, each even if another cannot be', () => {
    const order: string[] = [];
    const make = (name: string, fails = false): Integration => ({
      name,
      setup: () => () => {
        order.push(name);
        if (fails) throw new Error('no');
      },
    });
    const {client} = scene({}, [make('a'), make('b', true), make('c')]);
    void client.close(0);
    expect(order).toEqual(['c', 'b', 'a']);
  });

  test('a handler that fails does not disturb the page, and its failures are counted', async () => {
    let guarded = (): void => {};
    const broken = (): never => {
      throw new Error('no');
    };
    const {envelopes, flush} = scene({}, [{name: 'x', setup: (c) => void (guarded = c.guard(broken))}]);
    for (let i = 0; i < 10; i++) guarded();
    track('e');
    await flush();
    expect(envelopes()[0]!.discarded).toEqual([{reason: 'sdk_error', kind: 'error', count: 10}]);
  });
});

describe('init', () => {
  beforeEach(() => void vi.stubGlobal('fetch', async () => status(202)));
  afterEach(() => sdk.close(0));

  test('with a wrong DSN warns and returns nothing, and all functions do nothing', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const client = sdk.init({dsn: 'nonsense'});
    expect(warn).toHaveBeenCalledTimes(1);
    expect(client).toBeUndefined();
    sdk.captureException(new Error('x'));
    sdk.track('x');
    sdk.setUser({id: 1});
    expect(sdk.withScope(() => 5)).toBe(5);
    await expect(sdk.flush()).resolves.toBe(true);
    await expect(sdk.close()).resolves.toBe(true);
  });

  test.each<[string, unknown]>([
    ['integrations that throw', {dsn: DSN, integrations: () => { throw new Error('mine'); }}],
    ['no options', undefined],
    ['null', null],
  ])('with %s warns and returns nothing', (_, options) => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    expect(sdk.init(options as any)).toBeUndefined();
    expect(warn).toHaveBeenCalledTimes(1);
    expect(() => sdk.track('x')).not.toThrow();
  });

  test.each<[string, unknown, unknown, string]>([
    ['texts', {release: '1.4.0', environment: 'test', route: () => '/r'}, {release: '1.4.0', environment: 'test'}, '/r'],
    ['numbers', {release: 14, environment: 0, route: () => 7}, {release: '14', environment: '0'}, '7'],
    ['objects', {release: {v: 1}, environment: ['x'], route: () => ({})}, {}, '/here'],
    ['what is no text', {release: true, environment: null, route: async () => '/r'}, {}, '/here'],
    ['nothing', {}, {}, '/here'],
  ])('release, environment and route that are %s', (_, options, shared, route) => {
    history.replaceState(null, '', '/here');
    const client = sdk.init({dsn: DSN, integrations: [], ...(options as object)})!;
    const {scope, page} = client;
    expect({release: scope.release, environment: scope.environment}).toEqual({release: undefined, environment: undefined, ...(shared as object)});
    expect(page.route).toBe(route);
    sdk.startView({} as any);
    expect(client.page.route).toBe(route);
  });

  test('starts the chosen integrations, or what is made of the default ones', () => {
    const setup = vi.fn();
    const own: Integration = {name: 'own', setup};
    sdk.init({dsn: DSN, integrations: [own]});
    expect(setup).toHaveBeenCalledTimes(1);
    let names: string[] = [];
    sdk.init({
      dsn: DSN,
      integrations(defaults) {
        names = defaults.map(({name}) => name);
        return [own];
      },
    });
    expect(names).toEqual(expect.arrayContaining(['sessions', 'errors', 'pageViews', 'webVitals', 'clicks', 'requests', 'durableOutbox']));
    expect(setup).toHaveBeenCalledTimes(2);
  });

  test('the functions of the package speak to the client started last, and closing undoes it', async () => {
    const {fetch} = globalThis;
    const {pushState} = history;
    const first = sdk.init({dsn: DSN, integrations: []})!;
    const second = sdk.init({dsn: DSN})!;
    const capture = vi.spyOn(second, 'capture').mockImplementation(() => {});
    const before = vi.spyOn(first, 'capture');
    expect(globalThis.fetch).not.toBe(fetch);
    sdk.track('x', {a: 1}, 2);
    expect(capture).toHaveBeenCalledWith({kind: 'track', name: 'x', data: {a: 1}, value: 2});
    expect(before).not.toHaveBeenCalled();
    void sdk.close(0);
    expect(globalThis.fetch).toBe(fetch);
    expect(history.pushState).toBe(pushState);
    expect(Object.keys(history)).not.toContain('pushState');
  });
});
