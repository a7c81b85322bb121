import {afterAll, beforeAll, expect, test} from 'vitest';
import {startScene, type Scene} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.stop());

const script = `
  import {init, track} from '../../src/index.js';
  init({dsn: MONITOR_DSN, release: RELEASE, integrations: []});
  Object.assign(globalThis, {track});
  track('hello', {origin: ORIGIN}, 4);`;

test('what a page captures is queryable once, and nothing else is', async () => {
  const visit = await scene.visit({script});
  await visit.leave();
  const events = await scene.events(visit, {count: 1});
  expect(events).toMatchObject([{kind: 'track', name: 'hello', value: 4, release: visit.release, url: visit.url, data: {origin: scene.origin}}]);
  expect(scene.sent(visit)).toMatchObject([{status: 202, method: 'POST', envelope: {attempt: 1}}]);
  expect([visit.problems, visit.console]).toEqual([[], []]);
});

test('an answer that is lost, an error and an outage each leave the event stored once', async () => {
  const visit = await scene.visit({script});
  await scene.events(visit, {count: 1, settle: 0});
  const track = (name: string): Promise<void> => visit.page.evaluate((name) => (globalThis as any).track(name), name);
  const sends = (): number[] => scene.sent(visit).map(({status}) => status);

  scene.faults.dropResponses(1);
  await track('lost');
  await scene.events(visit, {count: 2, settle: 0});
  scene.faults.answer(503, {times: 1, headers: {'retry-after': '1'}});
  await track('refused');
  await scene.events(visit, {count: 3, settle: 0});
  await scene.stopReceiver();
  await track('outage');
  await visit.page.waitForTimeout(1_000);
  await scene.startReceiver();

  const events = await scene.events(visit, {count: 4});
  expect(events.map(({name}) => name)).toEqual(['hello', 'lost', 'refused', 'outage']);
  // The refused one was asked for twice, and so was the lost one; the outage left no trace here.
  expect(sends().sort()).toEqual([0, 202, 202, 202, 202, 503]);
});
