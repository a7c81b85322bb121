import {afterEach, expect, test, vi} from 'vitest';
import {defaultIntegrations} from '../src/defaultIntegrations.js';
import {deferring} from '../src/deferring.js';
import {init} from '../src/init.js';
import type {Client, Integration} from '../src/types.js';
import {DSN, scene, status, tearDown} from './scene.js';

afterEach(tearDown);

const named = (name: string, setup: Integration['setup']): Integration => ({name, setup});

test('what is deferred is made and started in the next task, all in one, in order', async () => {
  const log: string[] = [];
  const deferred = deferring();
  const integrations = ['a', 'b', 'c'].map((name) =>
    deferred(name, () => {
      log.push(`make ${name}`);
      return named(name, () => void log.push(`start ${name}`));
    }),
  );
  expect(integrations.map(({name}) => name)).toEqual(['a', 'b', 'c']);
  vi.useFakeTimers();
  const timers = vi.spyOn(globalThis, 'setTimeout');
  const client = {guard: (handler: unknown) => handler} as Client;
  for (const {setup} of integrations) setup(client);
  expect(log).toEqual([]);
  expect(timers).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(log).toEqual(['make a', 'start a', 'make b', 'start b', 'make c', 'start c']);
});

test('one that fails does not take the others along, and is counted', async () => {
  const deferred = deferring();
  const started = vi.fn();
  const set = scene({}, [
    deferred('broken', () => {
      throw new Error('broken');
    }),
    deferred('fine', () => named('fine', started)),
  ]);
  await vi.advanceTimersByTimeAsync(0);
  expect(started).toHaveBeenCalledWith(set.client, set.client.page);
  set.client.capture({kind: 'track'});
  await set.flush();
  expect(set.envelopes()[0]!.discarded).toEqual([{reason: 'sdk_error', kind: 'error', count: 1}]);
});

test('what is deferred is told of the page that was loaded, although the app has gone on at once', async () => {
  const deferred = deferring();
  const started = vi.fn();
  const {client} = scene({}, [deferred('late', () => named('late', started))]);
  const loaded = client.page;
  client.startPage('');
  await vi.advanceTimersByTimeAsync(0);
  expect(started).toHaveBeenCalledWith(client, loaded);
  expect(client.page).not.toBe(loaded);
});

test('what is closed before it has started never starts; what has started is stopped', async () => {
  const deferred = deferring();
  const start = vi.fn(() => stop);
  const stop = vi.fn();
  const first = scene({}, [deferred('late', () => named('late', start))]);
  void first.client.close(0);
  await vi.advanceTimersByTimeAsync(10);
  expect(start).not.toHaveBeenCalled();
  const second = scene({}, [deferred('late', () => named('late', start))]);
  await vi.advanceTimersByTimeAsync(10);
  expect(start).toHaveBeenCalledTimes(1);
  void second.client.close(0);
  expect(stop).toHaveBeenCalledTimes(1);
});

test('the default integrations say their names before they are made, each another one', () => {
  const names = defaultIntegrations().map(({name}) => name);
  expect(names).toHaveLength(24);
  expect(new Set(names).size).toBe(24);
  expect(names).toEqual(expect.arrayContaining(['durableOutbox', 'webVitals', 'blankScreen']));
});

test('what happens in the very next line is seen: an error, a request, a click, the console, and who and where it was', async () => {
  vi.useFakeTimers({now: Date.UTC(2026, 0, 1)});
  const bodies: any[] = [];
  vi.stubGlobal('fetch', vi.fn(async (url: string, options?: RequestInit) => {
    if (url.startsWith('https://monitor')) bodies.push(JSON.parse(await new Response(options!.body).text()));
    return status(202);
  }));
  vi.spyOn(console, 'error').mockImplementation(() => {});
  document.body.innerHTML = '<button>b</button>';
  const client = init({dsn: DSN, transports: undefined, integrations: (defaults) => defaults.filter(({name}) => name !== 'webVitals')})!;
  window.dispatchEvent(new ErrorEvent('error', {error: new Error('at once'), message: 'at once'}));
  void fetch('/at-once');
  document.querySelector('button')!.click();
  console.error('said at once');
  await vi.advanceTimersByTimeAsync(10);
  void client.close(500);
  await vi.advanceTimersByTimeAsync(600);
  const kinds = bodies.flatMap(({events}) => events.map(({kind}: {kind: string}) => kind));
  expect(kinds).toEqual(expect.arrayContaining(['error', 'request', 'click', 'console', 'page_view']));
  for (const {session, device} of bodies) {
    expect(session.id).toMatch(/^\w{32}$/);
    expect(device.viewport).toBe(`${innerWidth}x${innerHeight}`);
  }
});
