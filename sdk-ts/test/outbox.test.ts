import {expect, test} from 'vitest';
import {createOutbox, type Item} from '../src/outbox.js';
import type {Scope} from '../src/types.js';

const scopeOf = (name: string): Scope =>
  ({page: {id: name}, session: {id: 's'}, user: undefined, tags: undefined}) as unknown as Scope;
const home = scopeOf('home');

function item(json: string, {kind = 'track', bytes = json.length, scope = home} = {}): Item {
  return {json, kind, bytes, scope};
}

function setUp() {
  const dropped: string[] = [];
  const outbox = createOutbox((kind) => dropped.push(kind));
  const drain = (): string[] => {
    const taken: string[] = [];
    for (let batch; (batch = outbox.take(outbox.added)); outbox.done(batch)) taken.push(...batch.items.map(({json}) => json));
    return taken;
  };
  return {outbox, dropped, drain};
}

test('a thousand and first event drops the oldest that is no error', () => {
  const {outbox, dropped, drain} = setUp();
  outbox.add(item('error', {kind: 'error'}));
  for (let i = 0; i < 1000; i++) outbox.add(item(`e${i}`, {kind: i ? 'track' : 'vital'}));
  expect(dropped).toEqual(['vital']);
  expect(outbox.size).toBe(1000);
  const left = drain();
  expect(left[0]).toBe('error');
  expect(left[1]).toBe('e1');
  expect(left).toHaveLength(1000);
  expect(outbox.size).toBe(0);
});

test('when only errors are left, the oldest goes', () => {
  const {outbox, dropped, drain} = setUp();
  for (let i = 0; i < 1001; i++) outbox.add(item(`e${i}`, {kind: 'error'}));
  expect(dropped).toEqual(['error']);
  expect(drain()[0]).toBe('e1');
});

test('half a mebibyte is the most it holds', () => {
  const {outbox, dropped} = setUp();
  for (let i = 0; i < 30; i++) outbox.add(item(`e${i}`, {bytes: 30_000}));
  expect(outbox.size).toBe(Math.floor((512 * 1024) / 30_000));
  expect(dropped).toHaveLength(30 - outbox.size);
  expect(outbox.queued).toEqual({events: outbox.size, bytes: outbox.size * 30_000});
});

test('what waits for another attempt counts and can be dropped; what is on the wire cannot', () => {
  const {outbox, dropped} = setUp();
  for (let i = 0; i < 100; i++) outbox.add(item(`old${i}`, {kind: 'waiting'}));
  const waiting = outbox.take(outbox.added)!;
  outbox.putBack(waiting);
  for (let i = 0; i < 901; i++) outbox.add(item(`new${i}`));
  expect(dropped).toEqual(['waiting']);

  const flying = outbox.take(outbox.added)!;
  expect(flying.items).toHaveLength(99);
  outbox.add(item('one more'));
  expect(dropped).toEqual(['waiting', 'track']);
  expect(flying.items).toHaveLength(99);
});

test('a batch holds one scope, at most 100 events and 48 KiB', () => {
  const {outbox} = setUp();
  const cart = scopeOf('cart');
  for (let i = 0; i < 150; i++) outbox.add(item(`h${i}`, {scope: i % 2 ? home : cart}));
  const first = outbox.take(outbox.added)!;
  expect(first.items).toHaveLength(75);
  expect(new Set(first.items.map(({scope}) => scope))).toEqual(new Set([cart]));
  for (let i = 0; i < 20; i++) outbox.add(item(`h${i}`, {bytes: 10_000}));
  const second = outbox.take(outbox.added)!;
  expect(second.items).toHaveLength(75 + 4);
});

test('an event larger than a batch travels alone', () => {
  const {outbox} = setUp();
  outbox.add(item('big', {bytes: 100_000}));
  outbox.add(item('small'));
  expect(outbox.take(outbox.added)!.items.map(({json}) => json)).toEqual(['big']);
  expect(outbox.take(outbox.added)!.items.map(({json}) => json)).toEqual(['small']);
});

test('a batch that was put back goes before anything newer, unmixed', () => {
  const {outbox} = setUp();
  outbox.add(item('a'));
  const batch = outbox.take(outbox.added)!;
  batch.attempt = 1;
  outbox.add(item('b'));
  outbox.putBack(batch);
  expect(outbox.take(outbox.added)).toMatchObject({attempt: 1, items: [{json: 'a'}]});
  expect(outbox.take(outbox.added)).toMatchObject({attempt: 0, items: [{json: 'b'}]});
});

test('both halves of a split batch go next, in order', () => {
  const {outbox, drain} = setUp();
  for (let i = 0; i < 5; i++) outbox.add(item(`${i}`));
  outbox.split(outbox.take(outbox.added)!);
  outbox.add(item('5'));
  expect(outbox.size).toBe(6);
  expect(drain()).toEqual(['0', '1', '2', '3', '4', '5']);
});

test('events added after the moment that is due stay queued', () => {
  const {outbox} = setUp();
  outbox.add(item('due'));
  const due = outbox.added;
  outbox.take(due);
  outbox.add(item('later'));
  expect(outbox.take(due)).toBeUndefined();
  expect(outbox.queued.events).toBe(1);
});
