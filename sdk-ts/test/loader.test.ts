import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {adoptLoader} from '../src/adoptLoader.js';
import * as starting from '../src/init.js';
import {loader, type LoaderOptions, type LoaderStub} from '../src/loader.js';
import type {Client, MonitorEvent, Page, Processor} from '../src/types.js';

vi.mock('../src/init.js', {spy: true});

type Kit = LoaderStub & Record<string, (...args: unknown[]) => void>;
const page = window as unknown as {MonitorKit?: Kit; trustedTypes?: unknown};
const options: LoaderOptions = {src: 'https://monitor.example/sdk/monitor.js', dsn: 'https://public@monitor.example/shop'};
const NOON = Date.UTC(2026, 0, 1, 12);

/** Every call of the client that was started, and when the client would have had events happen. */
let calls: unknown[][];
let appended: HTMLScriptElement[];
/** Ends what a test listens to. */
let over: AbortController;

beforeEach(() => {
  vi.useFakeTimers({now: NOON});
  calls = [];
  appended = [];
  over = new AbortController();
  vi.spyOn(document.head, 'appendChild').mockImplementation((node) => (appended.push(node as unknown as HTMLScriptElement), node));
});

afterEach(() => {
  over.abort();
  const {h} = page.MonitorKit ?? {};
  for (const type of ['error', 'unhandledrejection']) if (h) removeEventListener(type, h, true);
  delete page.MonitorKit;
  delete page.trustedTypes;
  vi.useRealTimers();
});

/** Runs the snippet and returns what it put in the place of the SDK. */
function load(given: LoaderOptions = options): Kit {
  loader(given);
  return page.MonitorKit!;
}

/** The script arrives: functions that record take the place of the stub, and its `init` starts integrations. */
async function arrive(kit: LoaderStub, setup: (saw: (...args: unknown[]) => void) => void = () => {}): Promise<Kit> {
  let processor: Processor = (event) => event;
  const at = (): number => (processor({time: 0} as MonitorEvent, {} as Page) as MonitorEvent).time;
  const record = (method: string) => (...args: unknown[]) => void calls.push([method, args, at()]);
  vi.mocked(starting.init).mockImplementation((given) => {
    calls.push(['init', given]);
    setup(record('saw'));
    return {process: (next: Processor) => void (processor = next)} as Client;
  });
  adoptLoader(kit);
  const setTag = (): void => {
    throw new Error('setTag');
  };
  const recording = ['captureException', 'track', 'setUser', 'addBreadcrumb', 'init'].map((method) => [method, record(method)]);
  page.MonitorKit = {setTag, ...Object.fromEntries(recording)};
  await Promise.resolve();
  return page.MonitorKit!;
}

const fail = (error: unknown = new TypeError('early')): ErrorEvent => {
  const event = new ErrorEvent('error', {error, message: String(error)});
  dispatchEvent(event);
  return event;
};

test('the script is asked for without holding up the page, in a way that lets its errors be seen', () => {
  load();
  expect(appended).toHaveLength(1);
  expect(appended[0]).toMatchObject({src: options.src, localName: 'script'});
  expect(appended[0]!.getAttribute('crossorigin')).toBe('');
});

test('a second snippet does nothing', () => {
  const kit = load();
  expect(load()).toBe(kit);
  expect(appended).toHaveLength(1);
});

test('what happens before the script arrives is done again in its order, at its time, after the start', async () => {
  const kit = load();
  kit['setUser']!({id: 1});
  vi.setSystemTime(NOON + 1_000);
  kit['track']!('early', {a: 1}, 2);
  vi.setSystemTime(NOON + 2_000);
  kit['captureException']!('odd');
  vi.setSystemTime(NOON + 9_000);
  const script = await arrive(kit);
  expect(calls).toEqual([
    ['init', options],
    ['setUser', [{id: 1}], NOON],
    ['track', ['early', {a: 1}, 2], NOON + 1_000],
    ['captureException', ['odd'], NOON + 2_000],
  ]);
  calls = [];
  script['track']!('later');
  expect(calls).toEqual([['track', ['later'], 0]]);
});

test('early events of the window go to the listeners of the integrations, and to nobody else a second time', async () => {
  const kit = load();
  const pages = vi.fn();
  addEventListener('error', pages, {signal: over.signal});
  fail();
  const image = document.createElement('img');
  document.body.append(image);
  vi.setSystemTime(NOON + 500);
  image.dispatchEvent(new Event('error'));
  dispatchEvent(Object.assign(new Event('unhandledrejection'), {reason: 'odd'}));
  vi.setSystemTime(NOON + 9_000);
  await arrive(kit, (saw) => {
    addEventListener('error', (event) => saw(event.error?.message ?? (event.target as Element).localName), {capture: true, signal: over.signal});
    addEventListener('unhandledrejection', (event) => saw((event as any).reason), {signal: over.signal});
    addEventListener('click', (event) => saw('click', event), {signal: over.signal});
  });
  expect(calls.slice(1)).toEqual([
    ['saw', ['early'], NOON],
    ['saw', ['img'], NOON + 500],
    ['saw', ['odd'], NOON + 500],
  ]);
  expect(pages).toHaveBeenCalledTimes(1);
  image.remove();
});

test('the listeners of the loader are gone afterwards, and addEventListener is as it was', async () => {
  const native = window.addEventListener;
  const kit = load();
  await arrive(kit);
  fail();
  expect(kit.q).toHaveLength(0);
  expect(calls).toHaveLength(1);
  expect(window.addEventListener).toBe(native);
});

test('what integrations listen to elsewhere stays there, gets nothing from before, and can be taken back', async () => {
  // In browsers all targets share one method.
  const ofWindow = window.addEventListener;
  window.addEventListener = function (this: unknown, ...args: any): void {
    (this === document ? document.addEventListener : ofWindow).apply(this as any, args);
  };
  const kit = load();
  fail();
  const saw = vi.fn();
  await arrive(kit, () => {
    for (const type of ['visibilitychange', 'error']) window.addEventListener.call(document, type, saw);
  });
  window.addEventListener = ofWindow;
  expect(saw).not.toHaveBeenCalled();
  const leaving = new Event('visibilitychange', {bubbles: true});
  document.addEventListener('visibilitychange', () => saw('later'), {once: true});
  document.dispatchEvent(leaving);
  expect(saw.mock.calls).toEqual([[leaving], ['later']]);
  for (const type of ['visibilitychange', 'error']) document.removeEventListener(type, saw);
  document.dispatchEvent(leaving);
  expect(saw).toHaveBeenCalledTimes(2);
});

test('an init of the page wins over the options of the snippet', async () => {
  const kit = load();
  kit['track']!('early');
  kit['init']!({dsn: 'https://other@monitor.example/shop', release: '2'});
  await arrive(kit);
  expect(calls.map(([method, args]) => [method, args])).toEqual([
    ['init', {dsn: 'https://other@monitor.example/shop', release: '2'}],
    ['track', ['early']],
  ]);
});

test('who kept the stub speaks to the client later, in any number', async () => {
  const kit = load();
  await arrive(kit);
  vi.setSystemTime(NOON + 5_000);
  for (let i = 0; i < 150; i++) kit['track']!('late');
  expect(calls.slice(1)).toEqual(Array(150).fill(['track', ['late'], NOON + 5_000]));
});

test('a call or a listener that fails does not keep the others from being made', async () => {
  const kit = load();
  kit['setTag']!('a', 'b');
  kit['startView']!('cart');
  fail();
  kit['track']!('early');
  await arrive(kit, () => {
    addEventListener('error', () => {
      throw new Error('listener');
    }, {signal: over.signal});
  });
  expect(calls.slice(1)).toEqual([['track', ['early'], NOON]]);
});

test('a script that never arrives costs no more than a hundred entries', () => {
  const kit = load();
  for (let i = 0; i < 200; i++) {
    kit['track']!('early');
    fail();
  }
  expect(kit.q).toHaveLength(100);
});

test('where the SDK cannot start, what was kept is given to it all the same, and nothing breaks', async () => {
  const kit = load({...options, dsn: 'wrong'});
  kit['track']!('early');
  fail();
  vi.mocked(starting.init).mockReturnValueOnce(undefined);
  expect(adoptLoader(kit)).toBeUndefined();
  page.MonitorKit = {track: () => {}} as unknown as Kit;
  await Promise.resolve();
  expect(kit.q).toHaveLength(0);
});

test('every function of the package is there, returns nothing, and can be called without its object', () => {
  const kit = load();
  const {captureException, captureMessage, track, addBreadcrumb, setUser, setTag, setContext, withScope, startView, pause, resume, flush, close, init} = kit;
  const all = [captureException, captureMessage, track, addBreadcrumb, setUser, setTag, setContext, withScope, startView, pause, resume, flush, close, init];
  for (const method of all) expect(method!()).toBeUndefined();
  // An `init` is no call to make again: its options are kept instead.
  expect(kit.q).toHaveLength(all.length - 1);
});

test('trusted types get the address through a policy; where that is forbidden, nothing is loaded and nothing breaks', () => {
  const createScriptURL = vi.fn((url: string) => `${url}?trusted`);
  page.trustedTypes = {createPolicy: (_name: string, rules: {createScriptURL: (url: string) => string}) => (expect(rules.createScriptURL('x')).toBe('x'), {createScriptURL})};
  load();
  expect(appended[0]!.src).toBe(`${options.src}?trusted`);

  delete page.MonitorKit;
  page.trustedTypes = {
    createPolicy() {
      throw new TypeError('Policy "monitor-kit" disallowed');
    },
  };
  const kit = load();
  expect(appended).toHaveLength(1);
  kit['track']!('early');
  expect(kit.q).toHaveLength(1);
});
