import {afterAll, afterEach, beforeAll, expect, test} from 'vitest';
import {hide, show} from './desktop.js';
import {startScene, type Scene, type StoredEvent, type Visit, type VisitOptions} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
});
afterEach(() => scene.faults.heal());
afterAll(() => scene?.stop());

const script = `
  import {captureException, track} from '../../src/api.js';
  import {consent, optIn, optOut} from '../../src/integrations/consent.js';
  import {durableOutbox} from '../../src/integrations/durableOutbox.js';
  import {sessions} from '../../src/integrations/sessions.js';
  import {start} from '../../src/start.js';
  import {autoTransport} from '../../src/transport/auto.js';
  start({
    dsn: MONITOR_DSN,
    release: RELEASE,
    transports: [autoTransport],
    integrations: [consent({required: location.hash === '#ask'}), sessions(), durableOutbox()],
  });
  Object.assign(window, {captureException, track, optIn, optOut});`;

const open = (options: VisitOptions = {}): Promise<Visit> => scene.visit({script, ...options});
/** Another page of the same visitor. */
const again = ({context, release}: Visit): Promise<Visit> => open({context, release});
const track = ({page}: Visit, name: string): Promise<void> => page.evaluate((name) => (window as any).track(name), name);
const names = (events: StoredEvent[]): string[] => events.map(({name}) => name).sort();
const until = async (condition: () => boolean | Promise<boolean>, timeout = 20_000): Promise<void> => {
  for (const end = Date.now() + timeout; !(await condition()); ) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
/** How many pages have something stored on this device. */
const stored = ({page}: Visit): Promise<number> =>
  page.evaluate(async () => {
    let count = 0;
    for (const {name} of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>((resolve) => (indexedDB.open(name!).onsuccess = ({target}) => resolve((target as IDBOpenDBRequest).result)));
      const request = database.transaction('visits').objectStore('visits').count();
      count += await new Promise<number>((resolve) => (request.onsuccess = () => resolve(request.result)));
      database.close();
    }
    return count;
  });

test('what pages of an outage left, closed or reloaded, is sent by the next visit, once and as a repeat', async () => {
  const first = await open();
  await scene.stopReceiver();
  await track(first, 'closed');
  await first.page.waitForTimeout(1_500);
  await first.page.close({runBeforeUnload: true});
  const second = await again(first);
  await track(second, 'reloaded');
  await second.page.waitForTimeout(6_000);
  await second.page.reload();
  await track(second, 'in a row');
  await second.page.waitForTimeout(300);
  await second.page.goto('about:blank');
  await scene.startReceiver();
  const next = await again(first);
  const events = await scene.events(first, {count: 3});
  expect(names(events)).toEqual(['closed', 'in a row', 'reloaded']);
  expect(new Set(events.map(({page}) => page)).size).toBe(3);
  expect(scene.sent(first).filter(({status}) => status === 202).every(({envelope}) => envelope.attempt > 1)).toBe(true);
  await until(async () => (await stored(next)) === 0);
  expect([...first.problems, ...second.problems, ...next.problems]).toEqual([]);
});

test('a receiver that asks for silence gets it from the page, and the events from the next one', async () => {
  scene.faults.answer(503, {headers: {'retry-after': '60'}});
  const first = await open();
  await track(first, 'a');
  await until(() => scene.sent(first).length === 1);
  await track(first, 'b');
  await first.page.waitForTimeout(1_500);
  await first.page.close({runBeforeUnload: true});
  scene.faults.heal();
  await again(first);
  expect(names(await scene.events(first, {count: 2}))).toEqual(['a', 'b']);
});

test('what a crash in an outage left is sent once its page was silent for three minutes', async () => {
  scene.faults.reset();
  const first = await open();
  await track(first, 'crash');
  await first.page.waitForTimeout(10_000);
  const crashed = first.page.waitForEvent('crash');
  void first.page.goto('chrome://crash').catch(() => {});
  await crashed;
  scene.faults.heal();
  await open({
    context: first.context,
    release: first.release,
    prepare: (page) =>
      page.addInitScript(() => {
        const now = Date.now;
        Date.now = () => now() + 4 * 60_000;
      }),
  });
  expect(names(await scene.events(first))).toEqual(['crash']);
});

test('a tab sends what it has when it is hidden, goes on behind others, and loses nothing when it is closed there', async () => {
  const visit = await open({context: await scene.desktop()});
  await track(visit, 'seen');
  await hide(visit.page);
  // Sooner than what waits for more events is sent.
  await until(() => scene.sent(visit).length === 1, 2_000);
  expect(names(await scene.events(visit))).toEqual(['seen']);
  await track(visit, 'behind');
  expect(names(await scene.events(visit, {count: 2}))).toEqual(['behind', 'seen']);
  await track(visit, 'last');
  await visit.page.close({runBeforeUnload: true});
  const next = await again(visit);
  expect(names(await scene.events(visit, {count: 3, settle: 6_000}))).toEqual(['behind', 'last', 'seen']);
  await until(async () => (await stored(next)) === 0);
  expect([...visit.problems, ...next.problems]).toEqual([]);
});

test('of a tab that is hidden in an outage each event is stored once, whether it is closed or shown again', async () => {
  const closed = await open({context: await scene.desktop()});
  const shown = await again(closed);
  scene.faults.reset();
  await track(shown, 'shown');
  await hide(shown.page);
  await show(closed.page);
  await track(closed, 'closed');
  await hide(closed.page);
  await closed.page.waitForTimeout(3_000);
  await closed.page.close({runBeforeUnload: true});
  scene.faults.heal();
  // What is hidden may be sent by others: here by the next page, and by the tab itself.
  const next = await again(closed);
  await show(shown.page);
  await track(shown, 'back');
  expect(names(await scene.events(closed, {count: 3, settle: 9_000}))).toEqual(['back', 'closed', 'shown']);
  await until(async () => (await stored(next)) === 0);
  expect([...closed.problems, ...shown.problems, ...next.problems]).toEqual([]);
});

test('what a prerendered page could not send is stored once when it is shown', async () => {
  scene.faults.reset();
  const page = await scene.prerender({script});
  await page.evaluate(() => (window as any).track('prerendered'));
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  scene.faults.heal();
  await page.activate();
  await page.evaluate(() => (window as any).track('shown'));
  expect(names(await scene.events(page, {count: 2, settle: 9_000}))).toEqual(['prerendered', 'shown']);
  expect(await page.problems()).toEqual([]);
});

test('what a page that was prerendered in vain could not send is sent by the next visit', async () => {
  scene.faults.reset();
  const page = await scene.prerender({script});
  await page.evaluate(() => (window as any).track('prerendered'));
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await page.close();
  scene.faults.heal();
  const next = await open({context: await page.attach(), release: page.release});
  expect(names(await scene.events(page, {settle: 6_000}))).toEqual(['prerendered']);
  await until(async () => (await stored(next)) === 0);
});

test('an answer that is lost means a repeat, which the receiver stores once; also from another page', async () => {
  scene.faults.dropResponses();
  const first = await open();
  await track(first, 'twice');
  await until(() => scene.sent(first).length > 0);
  await first.page.waitForTimeout(1_500);
  await first.page.close({runBeforeUnload: true});
  scene.faults.heal();
  const next = await again(first);
  await until(() => scene.sent(first).some(({status}) => status === 202));
  // `events` fails when an id is there twice.
  expect(names(await scene.events(first))).toEqual(['twice']);
  await until(async () => (await stored(next)) === 0);
});

test('of two tabs each sends what it has; what the closed one left is sent by the next page', async () => {
  const alive = await open();
  const closed = await again(alive);
  scene.faults.reset();
  await track(alive, 'alive');
  await track(closed, 'closed');
  await closed.page.waitForTimeout(6_500);
  await closed.page.close({runBeforeUnload: true});
  scene.faults.heal();
  await again(alive);
  expect(names(await scene.events(alive, {count: 2, settle: 9_000}))).toEqual(['alive', 'closed']);
  await until(async () => (await stored(alive)) === 0);
  expect(alive.problems).toEqual([]);
});

test('a page in the back/forward cache and the one that took over from it store everything once', async () => {
  const first = await open();
  await first.page.evaluate(() => addEventListener('pageshow', ({persisted}) => ((window as any).persisted = persisted)));
  scene.faults.reset();
  await track(first, 'cached');
  const other = await scene.bundle(script, first.release);
  scene.routes['/other.js'] = {body: other};
  scene.routes['/other'] = '<!doctype html><title>Other</title><script src="/other.js"></script>';
  await first.page.goto(`${scene.origin}/other`);
  await track(first, 'other');
  scene.faults.heal();
  await until(() => scene.sent(first).some(({status}) => status === 202));
  await first.page.evaluate(() => history.back());
  await first.page.waitForFunction(() => (window as any).persisted);
  await track(first, 'back');
  expect(names(await scene.events(first, {count: 3, settle: 9_000}))).toEqual(['back', 'cached', 'other']);
  await until(async () => (await stored(first)) === 0);
});

test('visits that follow each other while all goes well leave nothing behind', async () => {
  const visit = await open();
  for (let i = 0; i < 6; i++) {
    await track(visit, `view ${i}`);
    await visit.page.reload();
  }
  await visit.page.waitForTimeout(10_000);
  expect(await scene.events(visit, {count: 6})).toHaveLength(6);
  await until(async () => (await stored(visit)) === 0);
  // Each was sent when its page was left, and once more as nobody saw the answer: not again and again.
  expect(scene.sent(visit).length).toBeLessThanOrEqual(12);
});

test('without IndexedDB the page is none the wiser', async () => {
  const visit = await open({prepare: (page) => page.addInitScript(() => Object.defineProperty(window, 'indexedDB', {get: () => { throw new DOMException('no', 'SecurityError'); }}))});
  scene.faults.reset(1);
  await track(visit, 'a');
  expect(names(await scene.events(visit))).toEqual(['a']);
  expect(scene.sent(visit).every(({envelope}) => !envelope.discarded?.length)).toBe(true);
  expect(visit.problems).toEqual([]);
});

test('a visitor who was not asked, or refused, sends and keeps nothing', async () => {
  const visit = await open({path: '/consent#ask'});
  await track(visit, 'before');
  await visit.page.waitForTimeout(5_000);
  expect(await visit.page.evaluate(async () => [localStorage.length, (await indexedDB.databases()).length])).toEqual([0, 0]);
  scene.faults.reset();
  await visit.page.evaluate(() => (window as any).optIn());
  await track(visit, 'agreed');
  await visit.page.waitForTimeout(10_000);
  expect(await stored(visit)).toBe(1);
  const other = await again(visit);
  await track(other, 'in the other tab');
  await visit.page.evaluate(() => (window as any).optOut());
  await other.page.waitForTimeout(500);
  scene.faults.heal();
  const before = scene.sent(visit).length;
  await track(visit, 'refused');
  await track(other, 'refused');
  await visit.page.waitForTimeout(8_000);
  await visit.page.reload();
  await visit.leave();
  await other.page.reload();
  await other.page.waitForTimeout(6_000);
  expect(scene.sent(visit).length).toBe(before);
  expect(await other.page.evaluate(async () => [{...localStorage}, await indexedDB.databases()])).toEqual([{'monitor-kit.consent': 'out'}, []]);
  expect([...visit.problems, ...other.problems]).toEqual([]);
});

test('Global Privacy Control counts as a refusal', async () => {
  const visit = await open({prepare: (page) => page.addInitScript(() => Object.defineProperty(navigator, 'globalPrivacyControl', {value: true}))});
  await track(visit, 'a');
  await visit.page.waitForTimeout(6_000);
  await visit.leave();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(scene.sent(visit)).toEqual([]);
});
