import 'fake-indexeddb/auto';
import {IDBFactory} from 'fake-indexeddb';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {flush, pause, resume, setUser, track} from '../src/api.js';
import {current} from '../src/current.js';
import {consent, optIn, optOut} from '../src/integrations/consent.js';
import {durableOutbox} from '../src/integrations/durableOutbox.js';
import {sessions} from '../src/integrations/sessions.js';
import {start} from '../src/start.js';
import {DSN, hide, status, tearDown} from './scene.js';

const CHOICE = 'monitor-kit.consent';

beforeEach(() => {
  vi.useFakeTimers({now: Date.UTC(2026, 0, 1)});
  vi.stubGlobal('indexedDB', new IDBFactory());
});
afterEach(async () => {
  start({dsn: '', integrations: []});
  await vi.advanceTimersByTimeAsync(10_000);
  await tearDown();
});

function page(required?: boolean, answer: () => Response = () => status(202)) {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  const network = vi.fn(async (_url: string, _init: RequestInit) => answer());
  vi.stubGlobal('fetch', network);
  start({dsn: DSN, integrations: [consent({required}), sessions(), durableOutbox()]});
  const envelopes = () => network.mock.calls.map(([, init]) => JSON.parse(init.body as string));
  return {network, names: () => envelopes().flatMap(({events}) => events.map(({name}: {name: string}) => name)), envelopes};
}

const pass = async (ms: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(ms));
const databases = async (): Promise<unknown[]> => {
  const listed = indexedDB.databases();
  await pass(50);
  return listed;
};

test('without a choice everything is captured', async () => {
  const {names} = page();
  track('a');
  await pass(6_000);
  expect(names()).toEqual(['a']);
});

test('where it is required, nothing is captured, sent or stored before the visitor agrees', async () => {
  const {network, names} = page(true);
  track('before');
  await pass(20_000);
  hide();
  await pass(100);
  hide('visible');
  expect(network).not.toHaveBeenCalled();
  expect(localStorage.length).toBe(0);
  expect(await databases()).toEqual([]);
  optIn();
  track('after');
  await pass(6_000);
  expect(names()).toEqual(['after']);
  expect(await databases()).toHaveLength(1);
});

test.each([
  ['in', true, ['a']],
  ['out', false, []],
  ['nonsense', false, []],
])('a choice of an earlier visit holds: %s', async (choice, required, sent) => {
  localStorage.setItem(CHOICE, choice);
  const {names} = page(required);
  track('a');
  await pass(6_000);
  expect(names()).toEqual(sent);
});

test('Global Privacy Control counts as no, until the visitor agrees', async () => {
  vi.stubGlobal('navigator', Object.assign(Object.create(navigator), {globalPrivacyControl: true}));
  const {names} = page();
  track('a');
  optIn();
  track('b');
  await pass(6_000);
  expect(names()).toEqual(['b']);
  start({dsn: DSN, integrations: [consent()]});
  track('c');
  await pass(6_000);
  expect(names()).toEqual(['b', 'c']);
});

test('after a refusal nothing is sent any more, and nothing is left on the device but the refusal', async () => {
  const {network, names} = page();
  await pass(100);
  setUser({id: 'u1'});
  track('waits');
  optOut();
  track('later');
  window.dispatchEvent(new Event('online'));
  await pass(20_000);
  hide();
  await pass(1_000);
  expect(network).not.toHaveBeenCalled();
  expect({...localStorage}).toEqual({[CHOICE]: 'out'});
  expect(await databases()).toEqual([]);
  hide('visible');
  optIn();
  track('again');
  await pass(6_000);
  expect(names()).toEqual(['again']);
});

test('resume does not speak for a visitor who has not agreed, or has refused', async () => {
  const {network, names} = page(true);
  const silent = async (): Promise<void> => {
    pause();
    resume();
    track('without consent');
    await pass(6_000);
    hide();
    await pass(1_000);
    hide('visible');
    expect(network).not.toHaveBeenCalled();
    expect(localStorage.getItem('monitor-kit')).toBeNull();
    expect(await databases()).toEqual([]);
  };
  await silent();
  optOut();
  await silent();
  optIn();
  track('agreed');
  await pass(6_000);
  expect(names()).toEqual(['agreed']);
});

test('a visitor who agrees does not end the pause of the page', async () => {
  const {network, names} = page(true);
  pause();
  optIn();
  track('paused');
  await pass(6_000);
  expect(network).not.toHaveBeenCalled();
  resume();
  track('resumed');
  await pass(6_000);
  expect(names()).toEqual(['resumed']);
});

test('after a refusal and a change of mind, what an outage leaves is kept again', async () => {
  page(false, () => status(503));
  track('before');
  await pass(10_000);
  optOut();
  await pass(5_000);
  expect(await databases()).toEqual([]);
  optIn();
  track('outage');
  await pass(10_000);
  expect(await databases()).toHaveLength(1);
  start({dsn: '', integrations: []});
  await pass(10_000);
  const {names} = page();
  await pass(20_000);
  expect(names()).toEqual(['outage']);
});

test('a visitor who agrees after a refusal is somebody new', async () => {
  const {envelopes} = page();
  track('a');
  await pass(6_000);
  optOut();
  optIn();
  track('b');
  await pass(6_000);
  const [before, after] = envelopes().map(({session}) => session);
  expect(after.visitor).toMatch(/^[0-9a-f]{32}$/);
  expect(after.visitor).not.toBe(before.visitor);
  expect(after.id).not.toBe(before.id);
});

test('of a visitor who has not agreed not even losses are told', async () => {
  const {network} = page(true);
  current._client!.discard('sdk_error', {});
  void flush(100);
  await pass(6_000);
  hide();
  expect(network).not.toHaveBeenCalled();
});

test('a refusal forgets what an outage left, before and after it was looked at', async () => {
  for (const wait of [0, 6_000]) {
    localStorage.clear();
    page(false, () => status(503));
    track('outage');
    await pass(10_000);
    expect(await databases()).toHaveLength(1);
    start({dsn: '', integrations: []});
    await pass(10_000);

    page(false, () => status(503));
    await pass(wait);
    optOut();
    await pass(20_000);
    expect(await databases()).toEqual([]);
    start({dsn: '', integrations: []});
    await pass(10_000);

    localStorage.clear();
    const {network} = page();
    await pass(20_000);
    expect(network).not.toHaveBeenCalled();
  }
});

test('a batch that is on the wire during a refusal is not sent again', async () => {
  let answer = (_: Response): void => {};
  const {network} = page();
  network.mockImplementation(() => new Promise((resolve) => (answer = resolve)));
  track('a');
  track('b');
  await pass(5_100);
  expect(network).toHaveBeenCalledTimes(1);
  optOut();
  answer(status(413));
  await pass(60_000);
  expect(network).toHaveBeenCalledTimes(1);
});

test('a choice that is made in another tab holds here, too', async () => {
  const {names} = page();
  const other = (key: string, newValue: string): boolean => window.dispatchEvent(Object.assign(new Event('storage'), {key, newValue}));
  track('waits');
  other(CHOICE, 'out');
  track('refused');
  other('cart', '[]');
  track('refused');
  await pass(6_000);
  other(CHOICE, 'in');
  track('agreed');
  await pass(6_000);
  expect(names()).toEqual(['agreed']);
});

test('where storage is forbidden, required consent is required all the same, and holds for the page', async () => {
  const denied = (): never => {
    throw new DOMException('denied', 'SecurityError');
  };
  vi.stubGlobal('localStorage', {getItem: denied, setItem: denied, removeItem: denied, clear() {}});
  vi.stubGlobal('indexedDB', {open: denied, deleteDatabase: denied});
  const {names} = page(true);
  track('before');
  await pass(6_000);
  optIn();
  track('agreed');
  await pass(6_000);
  optOut();
  track('refused');
  await pass(6_000);
  expect(names()).toEqual(['agreed']);
  vi.unstubAllGlobals();
});
