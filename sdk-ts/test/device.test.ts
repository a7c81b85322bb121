import {afterEach, expect, test, vi} from 'vitest';
import {withScope} from '../src/api.js';
import {hide, scene, tearDown} from './scene.js';

afterEach(tearDown);

test('the page is not asked for its size before there is something to say', async () => {
  const width = vi.spyOn(window, 'innerWidth', 'get');
  const set = scene();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(width).not.toHaveBeenCalled();
  set.client.capture({kind: 'track'});
  await set.flush();
  expect(set.envelopes()).toMatchObject([{device: {viewport: `${innerWidth}x${innerHeight}`, language: navigator.language}}]);
  expect(set.envelopes()[0]!.discarded).toEqual([]);
});

test('the time zone joins what was captured before it was known', async () => {
  const set = scene();
  set.client.capture({kind: 'track'});
  await vi.advanceTimersByTimeAsync(1_000);
  await set.flush();
  expect(set.envelopes()).toMatchObject([{device: {timezone: Intl.DateTimeFormat().resolvedOptions().timeZone}}]);
});

test('a window of another size begins another envelope; a page that is left without a change does not', async () => {
  const width = vi.spyOn(window, 'innerWidth', 'get').mockReturnValue(800);
  const set = scene();
  set.client.capture({kind: 'track', name: 'a'});
  set.client.startPage('');
  set.client.capture({kind: 'track', name: 'b'});
  width.mockReturnValue(400);
  hide();
  set.client.capture({kind: 'track', name: 'c'});
  await set.flush();
  expect(set.envelopes().map(({device, events}) => [device.viewport.split('x')[0], events.map(({name}) => name)])).toEqual([
    ['800', ['a']],
    ['800', ['b']],
    ['400', ['c']],
  ]);
});

test('a scope that ends does not take the device along', async () => {
  const set = scene();
  withScope(() => set.client.capture({kind: 'track', name: 'first'}));
  set.client.capture({kind: 'track', name: 'second'});
  await set.flush();
  for (const {device} of set.envelopes()) expect(device.screen).toMatch(/^\d+x\d+$/);
  expect(set.events().map(({name}) => name)).toEqual(['first', 'second']);
});

test('where the page has put something else in the place of what is asked, events go without it', async () => {
  vi.stubGlobal('screen', null);
  const set = scene();
  set.client.capture({kind: 'track', name: 'a'});
  set.client.capture({kind: 'track', name: 'b'});
  await set.flush();
  expect(set.events().map(({name}) => name)).toEqual(['a', 'b']);
  expect(set.envelopes()).toMatchObject([{device: {}, discarded: [{reason: 'sdk_error', count: 1}]}]);
});
