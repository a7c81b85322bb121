import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {attribution} from '../src/attribution.js';
import {pageViews} from '../src/integrations/pageViews.js';
import {webVitals} from '../src/integrations/webVitals.js';
import {hide, scene, tearDown} from './scene.js';

/** The callbacks that the integration gave to web-vitals, by metric, and their options. */
const {reports} = vi.hoisted(() => ({reports: {} as Record<string, (metric: any) => void>}));
vi.mock('web-vitals', () => {
  const take = (name: string) => (callback: (metric: any) => void) => void (reports[name] = callback);
  return {onCLS: take('CLS'), onFCP: take('FCP'), onINP: take('INP'), onLCP: take('LCP'), onTTFB: take('TTFB')};
});

function report(name: string, value: number, more: object = {}): void {
  reports[name]!({name, value, id: `id-${name}`, rating: 'good', navigationType: 'navigate', entries: [], ...more});
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
    data: {id: 'id-LCP', delta: 100, attribution: {}},
  });
});

test('only the latest value is captured, and again only when it has changed', () => {
  const {events} = scene({}, [webVitals()]);
  const metric = {name: 'CLS', value: 0.1, id: 'x', rating: 'good', navigationType: 'navigate', entries: []};
  reports['CLS']!(metric);
  metric.value = 0.2;
  reports['CLS']!(metric);
  hide();
  hide();
  dispatchEvent(new Event('pagehide'));
  hide('visible');
  reports['CLS']!(metric);
  hide();
  metric.value = 0.5;
  reports['CLS']!(metric);
  hide();
  expect(events().map(({value, data}) => [value, data.id, data.delta])).toEqual([
    [0.2, 'x', 0.2],
    [0.5, 'x', 0.3],
  ]);
});

test('what web-vitals writes into its object after the report does not change it', () => {
  const {events} = scene({}, [webVitals()]);
  const metric = {name: 'LCP', value: 100, id: 'x', rating: 'good', navigationType: 'navigate', entries: []};
  reports['LCP']!(metric);
  metric.value = -1;
  hide();
  expect(events()).toMatchObject([{value: 100}]);
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
  report('LCP', 5, {id: 'restored', navigationType: 'back-forward-cache'});
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

test('the parts of LCP, and of INP, add up to it', () => {
  document.body.innerHTML = '<img id="hero">';
  const image = document.querySelector('img')!;
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{responseStart: 120, activationStart: 20}] as any);
  vi.spyOn(performance, 'getEntriesByName').mockReturnValue([{requestStart: 220, startTime: 200, responseEnd: 520}] as any);
  const lcp = attribution({name: 'LCP', value: 700, entries: [{element: image, url: 'https://cdn/a.png?sig=1', startTime: 720}]} as any);
  expect(lcp).toEqual({
    target: '#hero',
    parts: {url: 'https://cdn/a.png', time_to_first_byte: 100, resource_load_delay: 100, resource_load_duration: 300, element_render_delay: 200},
  });

  const entry = {name: 'keydown', startTime: 1000, processingStart: 1030, processingEnd: 1090, target: image};
  const inp = attribution({name: 'INP', value: 104, entries: [entry, {...entry, processingEnd: 1095}]} as any);
  expect(inp).toEqual({
    target: '#hero',
    parts: {interaction_type: 'keyboard', interaction_time: 1000, input_delay: 30, processing_duration: 65, presentation_delay: 9},
  });
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
  expect(attribution({name: 'CLS', value: 0.21, entries: shifts} as any)).toEqual({
    target: 'aside.ad',
    parts: {largest_shift_value: 0.2, largest_shift_time: 2},
  });
  expect(attribution({name: 'FCP', value: 300, entries: []} as any)).toEqual({parts: {time_to_first_byte: 120, first_byte_to_fcp: 180}});
  const navigation = {domainLookupStart: 10, connectStart: 30, connectEnd: 60};
  expect(attribution({name: 'TTFB', value: 120, entries: [navigation]} as any)).toEqual({
    parts: {waiting_duration: 10, dns_duration: 20, connection_duration: 30, request_duration: 60},
  });
});

test.each(['LCP', 'CLS', 'INP', 'TTFB'])('%s without entries, as after a restore, has no parts', (name) => {
  expect(attribution({name, value: 8, entries: []} as any)).toEqual({parts: {}});
});
