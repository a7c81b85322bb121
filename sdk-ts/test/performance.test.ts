import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {REQUEST, TASK, blocking, type Span} from '../src/blocking.js';
import {blockingTime} from '../src/integrations/blockingTime.js';
import {longTasks} from '../src/integrations/longTasks.js';
import {navigationTiming} from '../src/integrations/navigationTiming.js';
import {resources} from '../src/integrations/resources.js';
import {ms} from '../src/ms.js';
import type {Client, Integration, NewEvent, Page} from '../src/types.js';

/** A browser that tells of the entries that a test hands to it. */
let timeline: Record<string, unknown[]>;
let observers: {types: string[]; tell: (entries: unknown[]) => void; pending: unknown[]}[];

beforeEach(() => {
  timeline = {};
  observers = [];
  vi.useFakeTimers({now: 1_000});
  vi.stubGlobal(
    'PerformanceObserver',
    class {
      static supportedEntryTypes = ['resource', 'longtask', 'long-animation-frame', 'navigation'];
      #own;
      constructor(callback: (list: {getEntries(): unknown[]}) => void) {
        this.#own = {types: [] as string[], tell: (entries: unknown[]) => callback({getEntries: () => entries}), pending: [] as unknown[]};
        observers.push(this.#own);
      }
      observe({type}: {type: string}) {
        this.#own.types.push(type);
      }
      takeRecords() {
        return this.#own.pending.splice(0);
      }
      disconnect() {
        this.#own.types = [];
      }
    },
  );
  vi.spyOn(performance, 'getEntriesByType').mockImplementation((type) => (timeline[type] ?? []) as any);
  vi.spyOn(performance, 'getEntriesByName').mockImplementation((name) => (timeline[name] ?? []) as any);
  vi.spyOn(document, 'readyState', 'get').mockReturnValue('complete');
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('visible');
});
afterEach(() => vi.useRealTimers());

/** Hands entries to those who watch their type. */
function tell(type: string, ...entries: object[]): void {
  for (const observer of observers) if (observer.types.includes(type)) observer.tell(entries.map((entry) => ({entryType: type, name: type, ...entry})));
}

interface Watched {
  captured: (NewEvent & {page: string})[];
  /** The page is hidden. */
  hide(): void;
  /** Another page view begins. */
  turn(id: string): void;
  stop(): void;
}

/** Runs one integration in a client that remembers what it captures. */
function watch(integration: Integration, load?: Page): Watched {
  const captured: Watched['captured'] = [];
  const leave: ((hidden: boolean) => void)[] = [];
  const client = {
    page: {id: 'first'} as Page,
    endpoint: 'https://monitor.example/api/shop/events',
    guard: (handler: unknown) => handler,
    capture: (event: NewEvent, page?: Page): void => void captured.push({...event, page: (page ?? client.page).id}),
    listen: (target: EventTarget, type: string, listener: EventListener) => target.addEventListener(type, listener),
    onLeave: (callback: (hidden: boolean) => void) => void leave.push(callback),
  };
  const stop = integration.setup(client as unknown as Client, load);
  return {
    captured,
    hide: () => leave.forEach((callback) => callback(true)),
    turn(id) {
      leave.forEach((callback) => callback(false));
      client.page = {id} as Page;
    },
    stop: () => stop?.(),
  };
}

test.each([
  [12.3456, 12.3],
  [-4, 0],
  [NaN, 0],
  [undefined, 0],
])('%s is sent as %s ms', (value, sent) => expect(ms(value)).toBe(sent));

describe('blocking time and time to interactive', () => {
  const task = (start: number, end: number): Span => [start, end, TASK];
  const request = (start: number, end: number): Span => [start, end, REQUEST];
  const three = (start: number, end: number): Span[] => [request(start, end), request(start, end), request(start, end)];

  test.each<[claim: string, spans: Span[], tti: number, tbt: number]>([
    ['without long tasks: the paint', [], 1_000, 0],
    ['the end of the only long task', [task(2_000, 2_150)], 2_150, 100],
    ['the end of the last of several', [task(2_000, 2_150), task(4_000, 4_300), task(9_000, 9_070)], 9_070, 100 + 250 + 20],
    ['a task after the quiet window does not count', [task(2_000, 2_150), task(7_151, 8_000)], 2_150, 100],
    ['a window that is too short by a millisecond is none', [task(2_000, 2_150), task(7_149, 7_249)], 7_249, 150],
    ['a task before the paint does not count', [task(200, 900)], 1_000, 0],
    ['of a task across the paint only what follows it, and of that what is beyond 50 ms', [task(900, 1_200)], 1_200, 150],
    ['a task across the paint that is short after it', [task(900, 1_040)], 1_040, 0],
    ['three requests in flight are no quiet, but their end is not the moment', [task(2_000, 2_150), ...three(2_100, 6_000)], 2_150, 100],
    ['two requests in flight are quiet', [task(2_000, 2_150), request(0, 60_000), request(2_200, 60_000)], 2_150, 100],
    ['a task during the requests is the last one', [task(2_000, 2_150), ...three(2_100, 6_000), task(5_000, 5_100)], 5_100, 150],
    ['a request that begins as another ends is not a third', [request(0, 60_000), request(0, 3_000), request(3_000, 60_000)], 1_000, 0],
    ['entries in any order', [task(4_000, 4_300), task(2_000, 2_150)], 4_300, 350],
  ])('%s', (_claim, spans, tti, tbt) => {
    expect(blocking(1_000, 800, 60_000, spans)).toEqual([tti, tbt]);
  });

  test('no page is interactive before it was parsed, and what blocked it until then counts', () => {
    expect(blocking(1_000, 9_000, 60_000, [task(8_000, 8_250), task(9_500, 9_900)])).toEqual([9_000, 200]);
  });

  test.each<[claim: string, now: number, spans: Span[]]>([
    ['before five seconds have passed', 5_999, []],
    ['while tasks go on', 9_000, [task(2_000, 2_100), task(6_000, 6_100)]],
    ['while requests go on', 20_000, three(900, 16_000)],
  ])('there is no answer %s', (_claim, now, spans) => {
    expect(blocking(1_000, 800, now, spans)).toBeUndefined();
  });

  const paint = (startTime: number): void => {
    timeline['first-contentful-paint'] = [{startTime}];
    timeline['navigation'] = [{domContentLoadedEventEnd: 50, type: 'navigate'}];
  };

  test('they are captured once, with their ratings, on the page that was loaded', () => {
    const {captured, turn, hide} = watch(blockingTime());
    paint(100);
    tell('longtask', {startTime: 500, duration: 300}, {startTime: 1_000, duration: 450});
    turn('second');
    vi.advanceTimersByTime(6_000);
    expect(captured).toEqual([]);
    vi.advanceTimersByTime(30_000);
    hide();
    expect(captured).toMatchObject([
      {kind: 'vital', name: 'TTI', value: 1_450, attributes: {rating: 'good', navigation_type: 'navigate'}, page: 'first', data: {delta: 1_450, visibility: 'visible'}},
      {kind: 'vital', name: 'TBT', value: 650, attributes: {rating: 'poor'}, page: 'first'},
    ]);
    expect(captured).toHaveLength(2);
    expect(observers[0]!.types).toEqual([]);
  });

  test.each<[string, () => Integration]>([['blocking time', blockingTime], ['navigation timing', navigationTiming]])('%s that starts late belongs to the page that was loaded', (_name, make) => {
    const {captured} = watch(make(), {id: 'loaded'} as Page);
    paint(100);
    vi.advanceTimersByTime(36_000);
    expect(captured.length).toBeGreaterThan(0);
    for (const {page} of captured) expect(page).toBe('loaded');
  });

  test('what the browser has not told of yet is no quiet', () => {
    const {captured} = watch(blockingTime());
    paint(100);
    vi.advanceTimersByTime(4_500);
    observers[0]!.pending.push({entryType: 'longtask', name: 'self', startTime: 4_600, duration: 900});
    vi.advanceTimersByTime(5_500);
    expect(captured).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(captured).toMatchObject([{value: 5_500}, {value: 850}]);
  });

  test('a page that is hidden when it was already quiet has both, one that is hidden before has none, ever', () => {
    const early = watch(blockingTime());
    paint(100);
    vi.advanceTimersByTime(3_000);
    early.hide();
    const late = watch(blockingTime());
    vi.advanceTimersByTime(2_500);
    late.hide();
    expect(late.captured.map(({name}) => name)).toEqual(['TTI', 'TBT']);
    vi.advanceTimersByTime(30_000);
    early.hide();
    expect(early.captured).toEqual([]);
  });

  test('a page that began hidden, or was hidden before the SDK came, is not measured', () => {
    timeline['visibility-state'] = [{name: 'hidden', startTime: 0}, {name: 'visible', startTime: 900}];
    watch(blockingTime());
    expect(observers).toEqual([]);
  });

  test('times of a prerendered page count from when it was shown', () => {
    timeline['visibility-state'] = [{name: 'hidden', startTime: 0}, {name: 'visible', startTime: 3_000}];
    timeline['navigation'] = [{activationStart: 3_000, domContentLoadedEventEnd: 50, type: 'navigate'}];
    const {captured} = watch(blockingTime());
    timeline['first-contentful-paint'] = [{startTime: 200}];
    tell('longtask', {startTime: 1_000, duration: 500}, {startTime: 3_500, duration: 100});
    vi.advanceTimersByTime(12_000);
    expect(captured).toMatchObject([{name: 'TTI', value: 600, attributes: {navigation_type: 'prerender'}}, {name: 'TBT', value: 50}]);
  });

  test('it ends with the client, and at a thousand entries', () => {
    const {captured, stop} = watch(blockingTime());
    paint(100);
    stop();
    const busy = watch(blockingTime());
    tell('resource', ...Array.from({length: 1_001}, (_, i) => ({startTime: i, duration: 1})));
    vi.advanceTimersByTime(30_000);
    expect([captured, busy.captured]).toEqual([[], []]);
    expect(observers.map(({types}) => types)).toEqual([[], []]);
  });

  test('where the browser does not know long tasks there is nothing to say', () => {
    (PerformanceObserver as any).supportedEntryTypes = ['resource'];
    watch(blockingTime());
    expect(observers).toEqual([]);
  });
});

describe('navigation timing', () => {
  const entry = {
    type: 'reload',
    redirectStart: 1,
    redirectEnd: 11,
    domainLookupStart: 20,
    domainLookupEnd: 25,
    connectStart: 25,
    secureConnectionStart: 32,
    connectEnd: 50,
    requestStart: 50,
    responseStart: 120.04,
    responseEnd: 160.04,
    domInteractive: 300,
    domComplete: 700,
    loadEventEnd: 712.36,
    transferSize: 5_000,
    nextHopProtocol: 'h2',
  };

  test('durations and times add up, with TLS apart from TCP', () => {
    timeline['navigation'] = [entry];
    const {captured, turn} = watch(navigationTiming());
    turn('second');
    expect(captured).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(captured).toEqual([
      {
        kind: 'navigation',
        value: 712.4,
        attributes: {navigation_type: 'reload'},
        data: {redirect: 10, dns: 5, tcp: 7, tls: 18, request: 70, response: 40, dom_interactive: 300, dom_complete: 700, load: 712.4, transfer_size: 5_000, protocol: 'h2', visibility: 'visible'},
        page: 'first',
      },
    ]);
  });

  test('it waits for the load event, and a task longer', () => {
    timeline['navigation'] = [entry];
    const state = vi.spyOn(document, 'readyState', 'get').mockReturnValue('interactive');
    const {captured} = watch(navigationTiming());
    vi.advanceTimersByTime(5_000);
    expect(captured).toEqual([]);
    state.mockReturnValue('complete');
    window.dispatchEvent(new Event('load'));
    expect(captured).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(captured).toHaveLength(1);
  });

  test('a prerendered page is captured when it is shown, and nothing is negative', () => {
    timeline['navigation'] = [{...entry, activationStart: 600}];
    timeline['visibility-state'] = [{name: 'hidden', startTime: 0}, {name: 'visible', startTime: 600}];
    Object.assign(document, {prerendering: true});
    const {captured} = watch(navigationTiming());
    vi.advanceTimersByTime(5_000);
    expect(captured).toEqual([]);
    delete (document as {prerendering?: boolean}).prerendering;
    document.dispatchEvent(new Event('prerenderingchange'));
    vi.advanceTimersByTime(1);
    expect(captured).toMatchObject([{value: 112.4, attributes: {navigation_type: 'prerender'}, data: {dom_interactive: 0, dom_complete: 100, visibility: 'visible'}}]);
  });

  test.each([[[]], [[{type: 'navigate'}]]])('what the browser does not say is 0: %j', (entries) => {
    timeline['navigation'] = entries;
    const {captured} = watch(navigationTiming());
    vi.advanceTimersByTime(1);
    expect(captured).toHaveLength(1);
    const {visibility, protocol, transfer_size, ...times} = captured[0]!.data!;
    expect([visibility, protocol, transfer_size]).toEqual(['visible', undefined, undefined]);
    expect(Object.values(times)).toEqual(Array(9).fill(0));
  });

  test('a tab that was discarded was restored', () => {
    timeline['navigation'] = [entry];
    Object.assign(document, {wasDiscarded: true});
    const {captured} = watch(navigationTiming());
    vi.advanceTimersByTime(1);
    delete (document as {wasDiscarded?: boolean}).wasDiscarded;
    expect(captured).toMatchObject([{attributes: {navigation_type: 'restore'}}]);
  });
});

describe('long tasks', () => {
  const script = {sourceURL: 'https://shop.example/app.js?v=3', sourceFunctionName: 'render', invoker: 'https://shop.example/app.js?token=hunter2', duration: 90};
  const frame = {startTime: 10, duration: 120, blockingDuration: 60, scripts: [{...script, duration: 5, sourceURL: ''}, script]};

  test('the ten longest of a page view, with their scripts', () => {
    const {captured, hide, turn} = watch(longTasks());
    for (let i = 0; i < 12; i++) tell('long-animation-frame', {...frame, duration: 60 + i});
    hide();
    expect(captured.map(({value}) => value)).toEqual([71, 70, 69, 68, 67, 66, 65, 64, 63, 62]);
    expect(captured[0]).toMatchObject({
      kind: 'longtask',
      name: 'long-animation-frame',
      attributes: {target: 'https://shop.example/app.js'},
      data: {start: 10, blocking_duration: 60, scripts: [{url: 'https://shop.example/app.js', function: 'render', duration: 90, invoker: 'https://shop.example/app.js?token=[scrubbed]'}, {url: '', duration: 5}]},
    });
    tell('long-animation-frame', {...frame, duration: 500});
    hide();
    expect(captured).toHaveLength(10);
    turn('second');
    tell('long-animation-frame', {...frame, duration: 500});
    turn('third');
    expect(captured.slice(10)).toMatchObject([{value: 500, page: 'second'}]);
  });

  test('the one that ended as the page was hidden is not lost', () => {
    const {captured, hide} = watch(longTasks());
    observers[0]!.pending.push({entryType: 'long-animation-frame', name: 'long-animation-frame', ...frame});
    hide();
    expect(captured).toMatchObject([{value: 120}]);
  });

  test('long tasks, where animation frames are not known', () => {
    (PerformanceObserver as any).supportedEntryTypes = ['longtask'];
    const {captured, hide} = watch(longTasks());
    tell('longtask', {startTime: 7, duration: 130});
    hide();
    expect(captured).toMatchObject([{name: 'longtask', value: 130, data: {start: 7, blocking_duration: 80, scripts: []}}]);
  });

  test('nothing, where neither is', () => {
    (PerformanceObserver as any).supportedEntryTypes = [];
    const {captured, hide, stop} = watch(longTasks());
    hide();
    stop();
    expect([captured, observers]).toEqual([[], []]);
  });
});

describe('resources', () => {
  const resource = (name: string, initiatorType: string, duration = 10, transferSize = 100): object => ({name: `https://shop.example${name}`, initiatorType, duration, transferSize});

  test.each([
    ['/app', 'script', 'script'],
    ['/cart.json', 'fetch', 'fetch'],
    ['/photo.svg', 'fetch', 'fetch'],
    ['/cart', 'xmlhttprequest', 'xhr'],
    ['/main.css?v=1', 'link', 'css'],
    ['/css2?family=Inter', 'link', 'css'],
    ['/inter.woff2', 'css', 'font'],
    ['/tile.PNG?x=1', 'css', 'img'],
    ['/chunk.mjs', 'link', 'script'],
    ['/hero.avif', 'link', 'img'],
  ])('%s for %s is %s', (name, initiator, type) => {
    const {captured, hide} = watch(resources());
    tell('resource', resource(name, initiator));
    hide();
    expect(captured.map(({name}) => name)).toEqual([type]);
  });

  test('sums and the three slowest, only of what is new, without our own requests', () => {
    const {captured, hide, turn} = watch(resources());
    tell('resource', resource('/a.png?sig=1', 'img', 10.01), resource('/b.png', 'img', 40), resource('/c.png', 'img', 20), resource('/d.png', 'img', 30, 0));
    tell('resource', {name: 'https://monitor.example/api/shop/events?key=public', initiatorType: 'fetch', duration: 5, transferSize: 1});
    hide();
    const url = (name: string): string => `https://shop.example${name}`;
    expect(captured).toEqual([
      {
        kind: 'resource',
        name: 'img',
        value: 40,
        attributes: {target: url('/b.png')},
        data: {
          count: 4,
          transfer_size: 300,
          duration: 100,
          slowest: [{url: url('/b.png'), duration: 40, size: 100}, {url: url('/d.png'), duration: 30, size: 0}, {url: url('/c.png'), duration: 20, size: 100}],
        },
        page: 'first',
      },
    ]);
    hide();
    tell('resource', resource('/e.png', 'img'));
    turn('second');
    expect(captured.slice(1)).toMatchObject([{page: 'first', data: {count: 1}}]);
  });
});
