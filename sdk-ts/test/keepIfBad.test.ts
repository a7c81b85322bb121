import {afterEach, expect, test} from 'vitest';
import {keepIfBad} from '../src/integrations/keepIfBad.js';
import {hide, scene, tearDown, type Scene} from './scene.js';

afterEach(tearDown);

const sent = ({events}: Scene): string[] => events().map(({kind, name}) => `${kind} ${name}`);
const click = ({client}: Scene, name = 'buy'): void => client.capture({kind: 'click', name});

test('details of a page on which nothing goes wrong are not sent, everything else is at once', async () => {
  const set = scene({}, [keepIfBad()]);
  click(set);
  set.client.capture({kind: 'page_view'});
  set.client.capture({kind: 'vital', name: 'LCP', attributes: {rating: 'good'}});
  await set.flush();
  expect(sent(set)).toEqual(['page_view page_view', 'vital LCP']);
  hide();
  hide('visible');
  set.client.captureException(new Error('later'));
  await set.flush();
  expect(sent(set)).toEqual(['page_view page_view', 'vital LCP', 'error Error']);
});

test.each([
  ['error', {kind: 'error'}],
  ['rage_click', {kind: 'rage_click'}],
  ['vital', {kind: 'vital', attributes: {rating: 'poor'}}],
])('what is held goes before what shows that something is wrong, and what comes later goes at once: %s', async (kind, bad) => {
  const set = scene({}, [keepIfBad()]);
  click(set, 'a');
  set.client.capture({kind: 'request', name: 'fetch'});
  set.client.capture(bad);
  click(set, 'b');
  await set.flush();
  expect(sent(set)).toEqual(['click a', 'request fetch', `${kind} ${kind}`, 'click b']);
  expect(set.events().map(({seq}) => seq)).toEqual([0, 1, 2, 3]);
});

test('a final vital of a page that is left still decides', async () => {
  const set = scene();
  keepIfBad().setup(set.client);
  // Vitals are final when the page is hidden, in a capturing listener of the window that runs before the client's own.
  window.addEventListener('visibilitychange', () => set.client.capture({kind: 'vital', name: 'CLS', attributes: {rating: 'poor'}}), {capture: true, once: true});
  click(set);
  hide();
  expect(sent(set)).toEqual(['click buy', 'vital CLS']);
});

test('the host has its last word on what was held, too', async () => {
  const set = scene({beforeSend: (event) => (event.name === 'private' ? null : {...event, data: {}})}, [keepIfBad()]);
  set.client.capture({kind: 'click', name: 'buy', data: {text: 'secret'}});
  click(set, 'private');
  set.client.captureException(new Error('x'));
  await set.flush();
  expect(sent(set)).toEqual(['click buy', 'error Error']);
  expect(JSON.stringify(set.events())).not.toContain('secret');
  expect(set.envelopes()[0]!.discarded).toEqual([{reason: 'before_send', kind: 'click', count: 1}]);
});

test('the next page view starts unsuspected; what is held keeps its page', async () => {
  const set = scene({}, [keepIfBad()]);
  set.client.captureException(new Error('x'));
  click(set, 'a');
  set.client.startPage('');
  click(set, 'b');
  set.client.startPage('');
  set.client.captureException(new Error('y'));
  await set.flush();
  expect(sent(set)).toEqual(['error Error', 'click a', 'click b', 'error Error']);
  const pages = set.envelopes().flatMap(({page, events}) => events.map(() => page.id));
  expect(new Set(pages).size).toBe(3);
});

test('holds 200 events at most; the oldest goes first', async () => {
  const set = scene({}, [keepIfBad({kinds: ['track']})]);
  for (let i = 0; i < 250; i++) set.client.capture({kind: 'track', name: `${i}`});
  click(set);
  set.client.captureException(new Error('x'));
  for (let i = 0; i < 5; i++) await set.flush();
  const tracks = set.events().filter(({kind}) => kind === 'track');
  expect(tracks.map(({name}) => name)).toEqual(Array.from({length: 200}, (_, i) => `${i + 50}`));
  expect(sent(set)).toHaveLength(202);
});
