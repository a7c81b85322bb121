import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {attribution as explainer} from '../src/attribution.js';
import {deferring} from '../src/deferring.js';
import {pageViews} from '../src/integrations/pageViews.js';
import {webVitals} from '../src/integrations/webVitals.js';
import {hide, scene, tearDown} from './scene.js';

/** The callbacks that the integration gave to web-vitals, by metric, and their options. */
const {reports, options} = vi.hoisted(() => ({reports: {} as Record<string, (metric: any) => void>, options: {} as Record<string, any>}));
vi.mock('web-vitals', () => {
  const take = (name: string) => (callback: (metric: any) => void, given: any) => {
    reports[name] = callback;
    options[name] = given;
  };
  return {onCLS: take('CLS'), onFCP: take('FCP'), onINP: take('INP'), onLCP: take('LCP'), onTTFB: take('TTFB')};
});

function report(name: string, value: number, more: object = {}): void {
  reports[name]!({name, value, delta: value, id: `id-${name}`, rating: 'good', navigationType: 'navigate', entries: [], ...more});
}

beforeEach(() => history.replaceState(null, '', '/'));
afterEach(tearDown);

test('FCP and TTFB are captured when known, the others when the page is hidden', async () => {
  const {events, flush} = scene({}, [webVitals()]);
  for (const name of ['TTFB', 'FCP', 'LCP', 'CLS', 'INP']) report(name, 100);
  await flush();
  expect(events().map(({name}) => name)).toEqual(['TTFB', 'FCP']);
  hide();
  expect(events().map(({name}) => name)).toEqual(['TTFB', 'FCP', 'LCP', 'CLS', 'INP']);
  expect(events()[2]).toMatchObject({
    kind: 'vital',
    name: 'LCP',
    value: 100,
    attributes: {rating: 'good', navigation_type: 'navigate'},
    data: {id: 'LCPid-LCP', delta: 100, visibility: 'visible'},
  });
  expect(events()[2]!.data.attribution).toBeUndefined();
});

test('only the latest value is captured, and again only when it has changed', () => {
  const {events} = scene({}, [webVitals()]);
  const grow = (value: number, delta: number): void => report('CLS', value, {delta, id: 'x'});
  grow(0.125, 0.125);
  grow(0.25, 0.125);
  hide();
  hide();
  dispatchEvent(new Event('pagehide'));
  hide('visible');
  hide();
  hide('visible');
  grow(0.5, 0.25);
  grow(0.75, 0.25);
  hide();
  expect(events().map(({value, data}) => [value, data.id, data.delta])).toEqual([
    [0.25, 'CLSx', 0.25],
    [0.75, 'CLSx', 0.5],
  ]);
});

test('what web-vitals writes into its object after the report does not change it', () => {
  const {events} = scene({}, [webVitals()]);
  const metric = {name: 'LCP', value: 100, delta: 100, id: 'x', rating: 'good', navigationType: 'navigate', entries: []};
  reports['LCP']!(metric);
  metric.value = -1;
  hide();
  expect(events()).toMatchObject([{value: 100}]);
});

test('an app that goes on before the vitals are watched does not take those of the load along', async () => {
  const {client, envelopes} = scene({}, [pageViews(), deferring()('webVitals', webVitals)]);
  const loaded = client.page.id;
  history.replaceState(null, '', '/login');
  await vi.advanceTimersByTimeAsync(1);
  report('TTFB', 10);
  report('LCP', 100);
  hide();
  const pages = envelopes().flatMap(({page, events}) => events.filter(({kind}) => kind === 'vital').map(({name}) => [name, page.id, page.route]));
  expect(pages).toEqual([['TTFB', loaded, '/'], ['LCP', loaded, '/']]);
});

test('all belong to the page that was loaded, until a restore begins another', () => {
  const {client, envelopes} = scene({}, [pageViews(), webVitals()]);
  const loaded = client.page.id;
  history.pushState(null, '', '/cart');
  report('LCP', 100);
  report('TTFB', 10);
  hide();
  hide('visible');
  dispatchEvent(Object.assign(new Event('pageshow'), {persisted: true}));
  const restored = client.page.id;
  report('LCP', 5, {id: 'restored', navigationType: 'back-forward-cache', navigationStartTime: 900});
  hide();
  const pages = envelopes().flatMap(({page, events}) => events.filter(({kind}) => kind === 'vital').map(({name, value}) => [name, value, page.id]));
  expect(pages).toEqual([
    ['TTFB', 10, loaded],
    ['LCP', 100, loaded],
    ['LCP', 5, restored],
  ]);
  expect(restored).not.toBe(loaded);
});

test('after close nothing is captured any more, but what was known is', async () => {
  const {client, events} = scene({}, [webVitals()]);
  report('LCP', 100);
  void client.close();
  report('LCP', 200);
  report('FCP', 50);
  await vi.advanceTimersByTimeAsync(1);
  expect(events().map(({name, value}) => [name, value])).toEqual([['LCP', 100]]);
});

test('the first paint comes with the first contentful one, after the same activation', async () => {
  const {events, flush} = scene({}, [webVitals()]);
  vi.spyOn(performance, 'getEntriesByName').mockReturnValue([{startTime: 250}] as any);
  report('FCP', 200, {entries: [{startTime: 300}]});
  report('FCP', 12, {id: 'restored', navigationType: 'back-forward-cache', navigationStartTime: 900});
  await flush();
  expect(events().map(({name, value, data}) => [name, value, data.id, data.delta])).toEqual([
    ['FP', 150, 'FPid-FCP', 150],
    ['FCP', 200, 'FCPid-FCP', 200],
    ['FCP', 12, 'FCPrestored', 12],
  ]);
});

test('metrics of a soft navigation belong to the view that it began, those of the load to theirs', () => {
  const {client, envelopes} = scene({}, [pageViews(), webVitals({softNavigations: true})]);
  expect(options['LCP']).toMatchObject({reportSoftNavs: true, reportAllChanges: true});
  const loaded = client.page.id;
  report('LCP', 100);
  history.pushState(null, '', '/cart');
  const cart = client.page.id;
  const soft = {navigationType: 'soft-navigation', navigationStartTime: 1_000};
  report('FCP', 30, {...soft, id: 'soft-FCP'});
  // The interaction that led here belongs to the view before, and becomes known after it.
  report('INP', 80);
  report('LCP', 40, {...soft, id: 'soft-LCP'});
  history.pushState(null, '', '/elsewhere');
  report('INP', 24, {...soft, id: 'soft-INP'});
  hide();
  const pages = envelopes().flatMap(({page, events}) => events.filter(({kind}) => kind === 'vital').map(({name, value}) => [name, value, page.id]));
  expect(pages.sort()).toEqual([
    ['FCP', 30, cart],
    ['INP', 24, cart],
    ['INP', 80, loaded],
    ['LCP', 100, loaded],
    ['LCP', 40, cart],
  ].sort());
});

test('visibility says whether the page was hidden before, and a restore begins anew', () => {
  const {events} = scene({}, [webVitals()]);
  expect(options['INP']).toMatchObject({durationThreshold: 16});
  report('INP', 8);
  hide();
  hide('visible');
  report('INP', 40);
  report('CLS', 0);
  hide();
  hide('visible');
  report('INP', 16, {id: 'restored', navigationStartTime: 900});
  hide();
  expect(events().map(({name, value, data}) => [name, value, data.visibility])).toEqual([
    ['INP', 8, 'visible'],
    ['INP', 40, 'hidden'],
    ['CLS', 0, 'hidden'],
    ['INP', 16, 'visible'],
  ]);
});

test('a page that began hidden says so from the start', async () => {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
  const {events, flush} = scene({}, [webVitals()]);
  report('TTFB', 50);
  await flush();
  expect(events()).toMatchObject([{name: 'TTFB', data: {visibility: 'hidden'}}]);
});

test('with an explainer, metrics carry what made them', () => {
  document.body.innerHTML = '<aside class="ad">text</aside>';
  const {events} = scene({}, [webVitals({attribution: explainer})]);
  report('CLS', 0.2, {entries: [{value: 0.2, startTime: 2, sources: [{node: document.querySelector('aside')}]}]});
  hide();
  expect(events()).toMatchObject([{attributes: {target: 'aside.ad'}, data: {attribution: {largest_shift: 0.2}}}]);
});

/** What the explainer says in a browser that tells of these entries. */
function attribution(metric: unknown, told: object[] = []): unknown {
  const noop = (): void => {};
  const observed = class {
    static supportedEntryTypes = ['event', 'long-animation-frame'];
    observe = noop;
    disconnect = noop;
    takeRecords = () => told;
  };
  vi.stubGlobal('PerformanceObserver', observed);
  return explainer()(metric as any);
}

test('the parts of LCP add up to it', () => {
  document.body.innerHTML = '<img id="hero">';
  const element = document.querySelector('img')!;
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{responseStart: 120, activationStart: 20}] as any);
  vi.spyOn(performance, 'getEntriesByName').mockReturnValue([{requestStart: 220, startTime: 200, responseEnd: 520}] as any);
  const lcp = {name: 'LCP', value: 700, entries: [{element, url: 'https://cdn/a.png?sig=1', startTime: 720}]};
  expect(attribution(lcp)).toEqual({
    target: '#hero',
    parts: {url: 'https://cdn/a.png', time_to_first_byte: 100, load_delay: 100, load_duration: 300, render_delay: 200},
  });
  // A soft navigation has its document already, and its times count from its own start.
  expect(attribution({...lcp, value: 450, navigationStartTime: 120})).toMatchObject({
    parts: {time_to_first_byte: 0, load_delay: 100, load_duration: 300, render_delay: 50},
  });
});

test('the parts of INP add up to it, whichever of the events between input and paint had the work', () => {
  document.body.innerHTML = '<button id="buy">Buy</button>';
  const target = document.querySelector('button')!;
  const down = {name: 'pointerdown', startTime: 1_000, duration: 104, processingStart: 1_030, processingEnd: 1_031, target};
  const told = [
    {...down, name: 'click', startTime: 1_003, processingStart: 1_032, processingEnd: 1_095},
    {...down, name: 'keydown', startTime: 500, processingStart: 500, processingEnd: 2_000},
    {name: 'long-animation-frame', scripts: [{startTime: 400, duration: 100, invoker: 'before', sourceURL: '', sourceFunctionName: ''}]},
    {
      name: 'long-animation-frame',
      scripts: [
        {startTime: 1_032, duration: 3, invoker: 'BUTTON#buy.onpointerup', sourceURL: '', sourceFunctionName: ''},
        {startTime: 1_035, duration: 60, invoker: 'BUTTON#buy.onclick', sourceURL: 'https://cdn/a.js?v=1', sourceFunctionName: 'pay'},
      ],
    },
  ];
  expect(attribution({name: 'INP', value: 104, entries: [down]}, told)).toEqual({
    target: '#buy',
    parts: {
      event: 'pointerdown',
      time: 1_000,
      input_delay: 30,
      processing_duration: 65,
      presentation_delay: 9,
      longest_script: {url: 'https://cdn/a.js', function: 'pay', duration: 60},
    },
  });
  const {parts} = attribution({name: 'INP', value: 104, entries: [{...down, name: 'keydown'}]}) as {parts: object};
  expect(parts).toMatchObject({event: 'keydown', processing_duration: 1, presentation_delay: 73, longest_script: undefined});
});

test('CLS names the element of its largest shift, FCP and TTFB their parts', () => {
  document.body.innerHTML = '<aside class="ad">text</aside>';
  const ad = document.querySelector('aside')!;
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{responseStart: 120}] as any);
  const shifts = [
    {value: 0.01, startTime: 1, sources: []},
    // Text nodes shift too; their element is named.
    {value: 0.2, startTime: 2, sources: [{node: null}, {node: ad.firstChild}]},
  ];
  expect(attribution({name: 'CLS', value: 0.21, entries: shifts})).toEqual({
    target: 'aside.ad',
    parts: {largest_shift: 0.2, time: 2},
  });
  expect(attribution({name: 'FCP', value: 300, entries: [{}]})).toEqual({parts: {time_to_first_byte: 120, render_delay: 180}});
  const navigation = {domainLookupStart: 10, connectStart: 30, connectEnd: 60};
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([navigation] as any);
  expect(attribution({name: 'TTFB', value: 120, entries: [navigation]})).toEqual({
    parts: {waiting: 10, dns: 20, connection: 30, request: 60},
  });
});

test.each(['LCP', 'CLS', 'INP', 'FCP', 'TTFB'])('%s without entries, as after a restore, has no parts', (name) => {
  expect(attribution({name, value: 8, entries: []})).toEqual({});
});

test('the first byte of a soft navigation took no time', () => {
  expect(attribution({name: 'TTFB', value: 0, entries: [{entryType: 'soft-navigation'}], navigationStartTime: 900})).toEqual({
    parts: {waiting: 0, dns: 0, connection: 0, request: 0},
  });
});

test('a text has no resource: what is not known took no time', () => {
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{responseStart: 120}] as any);
  expect(attribution({name: 'LCP', value: 700.04, entries: [{element: document.body, url: ''}]})).toMatchObject({
    parts: {url: '', time_to_first_byte: 120, load_delay: 0, load_duration: 0, render_delay: 580},
  });
});
