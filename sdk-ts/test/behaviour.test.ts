import {afterEach, describe, expect, test, vi} from 'vitest';
import {startView} from '../src/api.js';
import {clicks} from '../src/integrations/clicks.js';
import {deadClicks} from '../src/integrations/deadClicks.js';
import {declarative} from '../src/integrations/declarative.js';
import {exposure} from '../src/integrations/exposure.js';
import {forms} from '../src/integrations/forms.js';
import {pageViews} from '../src/integrations/pageViews.js';
import {rageClicks} from '../src/integrations/rageClicks.js';
import {scrollDepth} from '../src/integrations/scrollDepth.js';
import {timeOnPage} from '../src/integrations/timeOnPage.js';
import {hide, scene, tearDown, type Scene} from './scene.js';

afterEach(tearDown);

describe('page views', () => {
  const views = ({envelopes}: Scene) =>
    envelopes().flatMap(({page, events}) => events.filter(({kind}) => kind === 'page_view').map(({attributes}) => [attributes!['navigation_type'], page.route]));
  const event = (type: string, init: object = {}): boolean => window.dispatchEvent(Object.assign(new Event(type), init));
  const loaded = async (): Promise<Scene> => {
    const set = scene({}, [pageViews()]);
    // The view of the load waits for the end of the task.
    await vi.advanceTimersByTimeAsync(1);
    return set;
  };

  test.each<[string, () => void, string]>([
    ['pushState', () => history.pushState(null, '', '/cart'), 'push'],
    ['replaceState', () => history.replaceState(null, '', '/cart'), 'replace'],
    ['startView', () => startView('/cart'), 'view'],
  ])('the view of the load is the first, once and on the first page, also when the app goes on at once by %s', async (_, go, type) => {
    const set = scene({}, [pageViews()]);
    go();
    await vi.advanceTimersByTimeAsync(1);
    await set.flush();
    expect(views(set)).toEqual([['load', '/'], [type, '/cart']]);
    history.pushState(null, '', '/end');
    await set.flush();
    expect(views(set).slice(2)).toEqual([['push', '/end']]);
  });

  test('a load, then each change of the address, with a page of its own', async () => {
    const set = await loaded();
    history.pushState(null, '', '/cart?x=1');
    set.client.capture({kind: 'track', name: 'in cart'});
    history.replaceState(null, '', '/checkout');
    await set.flush();
    expect(views(set)).toEqual([
      ['load', '/'],
      ['push', '/cart'],
      ['replace', '/checkout'],
    ]);
    const ids = set.envelopes().map(({page}) => page.id);
    expect(new Set(ids).size).toBe(3);
    expect(set.envelopes()[1]!.events.map(({name}) => name)).toEqual(['page_view', 'in cart']);
  });

  test.each([
    ['https://search.example/?q=shoes&token=abc', 'https://search.example/?q=shoes&token=[scrubbed]'],
    [`${location.origin}.evil.example/`, `${location.origin}.evil.example/`],
    [`${location.origin}/before`, ''],
    [`${location.origin}/`, ''],
    ['', ''],
  ])('who comes from %j comes from %j; who goes on within the site comes from nowhere', async (referrer, sent) => {
    vi.spyOn(document, 'referrer', 'get').mockReturnValue(referrer);
    const set = await loaded();
    history.pushState(null, '', '/cart');
    history.replaceState(null, '', '/checkout');
    startView('step 2');
    await set.flush();
    expect(set.envelopes().map(({page}) => [page.route, page.referrer])).toEqual([['/', sent], ['/cart', ''], ['/checkout', ''], ['step 2', '']]);
  });

  test('an image that is named after the referrer does no harm', () => {
    vi.spyOn(document, 'referrer', 'get').mockReturnValue(document.createElement('img') as unknown as string);
    expect(scene({}, [pageViews()]).client.page.referrer).toBe(String(document.referrer));
  });

  test('a short view has the title that it had at its end, not that of the view before', async () => {
    document.title = 'Shop';
    const set = await loaded();
    history.pushState(null, '', '/cart');
    document.title = 'Cart';
    history.pushState(null, '', '/checkout');
    document.title = 'Checkout';
    await set.flush();
    expect(set.envelopes().map(({page}) => [page.route, page.title])).toEqual([['/', 'Shop'], ['/cart', 'Cart'], ['/checkout', 'Checkout']]);
  });

  test('replaceState on the same path and pushState to the same address are no views', async () => {
    const set = await loaded();
    history.replaceState({scroll: 5}, '', '/?tab=2');
    history.pushState({modal: true}, '');
    await set.flush();
    expect(views(set)).toEqual([['load', '/']]);
  });

  test('back is one view, although two events may tell of it', async () => {
    const set = await loaded();
    history.pushState(null, '', '/b');
    vi.spyOn(location, 'href', 'get').mockReturnValue(`${location.origin}/a`);
    event('popstate');
    event('hashchange');
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'push', 'pop']);
  });

  test('a step within the page is one view', async () => {
    const set = await loaded();
    vi.spyOn(location, 'href', 'get').mockReturnValue(`${location.origin}/#reviews`);
    event('popstate');
    event('hashchange');
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'pop']);
  });

  test('a move of the Navigation API is one view; what the history or a step within the page tells anyway is none more', async () => {
    const navigation = Object.assign(new EventTarget(), {currentEntry: {}});
    vi.stubGlobal('navigation', navigation);
    const set = await loaded();
    const change = (navigationType: string | null, to?: string): void => {
      if (to) vi.spyOn(location, 'href', 'get').mockReturnValue(location.origin + to);
      navigation.dispatchEvent(Object.assign(new Event('currententrychange'), {navigationType}));
    };
    change('push', '/two');
    change('replace', '/two?tab=1');
    change(null, '/two?tab=2');
    change('push', '/two?tab=1#x');
    event('popstate');
    change('replace', '/three');
    change('traverse', '/two');
    event('popstate');
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'push', 'pop', 'replace', 'pop']);
  });

  test.each([[[]], [{}]])('what else is named navigation is not asked: %j', async (other) => {
    vi.stubGlobal('navigation', other);
    const set = await loaded();
    history.pushState(null, '', '/b');
    await set.flush();
    expect(views(set)).toEqual([['load', '/'], ['push', '/b']]);
  });

  test('a restore from the back/forward cache is a view, a first showing is not another one', async () => {
    const set = await loaded();
    event('pageshow', {persisted: false});
    event('pageshow', {persisted: true});
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'bfcache']);
  });

  test('a prerendered page is viewed when it is shown', async () => {
    Object.defineProperty(document, 'prerendering', {value: true, configurable: true});
    const set = await loaded();
    await set.flush();
    expect(set.network).not.toHaveBeenCalled();
    document.dispatchEvent(new Event('prerenderingchange'));
    await set.flush();
    expect(views(set)).toEqual([['prerender', '/']]);
    delete (document as any).prerendering;
  });

  test('history behaves as without it: same arguments, same result, same exceptions', () => {
    const calls: unknown[][] = [];
    const thrown = new DOMException('denied', 'SecurityError');
    vi.spyOn(history, 'pushState').mockImplementation((...args) => {
      calls.push(args);
      if (args[2] === '/throw') throw thrown;
    });
    scene({}, [pageViews()]);
    const state = {a: 1};
    history.pushState(state, 'title', '/x');
    expect(calls[0]![0]).toBe(state);
    expect(calls[0]).toEqual([state, 'title', '/x']);
    expect(() => history.pushState(null, '', '/throw')).toThrow(thrown);
  });

  test('after close, history is what it was, and a wrapper put on top of ours still works', () => {
    const {pushState} = history;
    const {client} = scene({}, [pageViews()]);
    const ours = history.pushState;
    expect(ours).not.toBe(pushState);
    history.pushState = function (...args) {
      return ours.apply(this, args);
    };
    void client.close(0);
    history.pushState(null, '', '/still-works');
    expect(location.pathname).toBe('/still-works');
    delete (history as any).pushState;
  });
});

describe('clicks', () => {
  const click = (target: string): void => {
    document.querySelector(target)!.dispatchEvent(new MouseEvent('click', {bubbles: true, composed: true, clientX: 10.4, clientY: 20.6}));
  };

  test('is where and on what, never a text that was not allowed', async () => {
    document.body.innerHTML = '<button id="pay"><svg><path class="hit"/></svg>Pay 12 € to Ada</button>';
    const {events, flush} = scene({}, [clicks()]);
    click('.hit');
    await flush();
    expect(events()).toMatchObject([{kind: 'click', name: 'click', attributes: {target: '#pay'}, data: {x: 10.4, y: 20.6}}]);
    expect(JSON.stringify(events())).not.toContain('Ada');
  });

  test('has the text inside of data-monitor-text, short and well-formed', async () => {
    document.body.innerHTML = `<nav data-monitor-text><a id="home">  Home\n page </a><a id="long">${'😀'.repeat(100)}</a></nav>`;
    const {events, flush} = scene({}, [clicks()]);
    click('#home');
    click('#long');
    await flush();
    expect(events()[0]!.data.text).toBe('Home page');
    expect(events()[1]!.data.text.length).toBeLessThanOrEqual(100);
  });

  test('is seen although the page stops it', async () => {
    document.body.innerHTML = '<button id="b"></button>';
    document.querySelector('#b')!.addEventListener('click', (event) => event.stopImmediatePropagation());
    const {events, flush} = scene({}, [clicks()]);
    click('#b');
    await flush();
    expect(events()).toHaveLength(1);
  });

  test('inside of an open shadow root is on the element inside', async () => {
    const host = document.createElement('shop-cart');
    host.attachShadow({mode: 'open'}).innerHTML = '<button class="inner"></button>';
    document.body.append(host);
    const {events, flush} = scene({}, [clicks()]);
    host.shadowRoot!.querySelector('button')!.dispatchEvent(new MouseEvent('click', {bubbles: true, composed: true}));
    await flush();
    expect(events()[0]!.attributes).toEqual({target: 'button.inner'});
  });
});

/** A click as a mouse makes it: `detail` counts. */
const mouse = (target: string, init: MouseEventInit = {}): void => {
  const element = document.querySelector(target)!;
  element.dispatchEvent(new Event('pointerdown', {bubbles: true, composed: true}));
  element.dispatchEvent(new MouseEvent('click', {bubbles: true, composed: true, detail: 1, ...init}));
};
const kinds = (set: Scene, kind: string): Scene['events'] extends () => infer Events ? Events : never => set.events().filter((event) => event.kind === kind);

describe('what is private', () => {
  test.each([
    ['a field', '<div data-monitor-text><textarea id="hit">secret</textarea></div>'],
    ['what is around a field', '<div data-monitor-text id="hit">secret <select><option>secret</option></select></div>'],
    ['a draft', '<div data-monitor-text contenteditable><p id="hit">secret</p></div>'],
    ['what is masked', '<div data-monitor-text id="hit"><p data-monitor-mask>secret</p></div>'],
    ['what is inside of it', '<div data-monitor-mask id="secret"><p data-monitor-text class="secret" id="hit">secret</p></div>'],
  ])('the text of %s is not read', async (_, html) => {
    document.body.innerHTML = html;
    const set = scene({}, [clicks({textOf: 'body'})]);
    mouse('#hit');
    await set.flush();
    expect(set.events()).toHaveLength(1);
    expect(JSON.stringify(set.events())).not.toContain('secret');
  });

  test('a mask holds in the shadow roots inside of it', async () => {
    document.body.innerHTML = '<div data-monitor-mask><shop-cart></shop-cart></div>';
    const root = document.querySelector('shop-cart')!.attachShadow({mode: 'open'});
    root.innerHTML = '<button class="secret" id="secret">secret</button>';
    const set = scene({}, [clicks({textOf: 'body'})]);
    root.querySelector('button')!.dispatchEvent(new MouseEvent('click', {bubbles: true, composed: true}));
    await set.flush();
    expect(set.events()[0]).toMatchObject({attributes: {target: 'button'}});
    expect(JSON.stringify(set.events())).not.toContain('secret');
  });

  test('the texts that may be read are chosen by a selector', async () => {
    document.body.innerHTML = '<nav><a id="home">Home</a></nav><p id="letter" data-monitor-text>Dear Ada</p>';
    const set = scene({}, [clicks({textOf: 'nav, h1'})]);
    mouse('#home');
    mouse('#letter');
    await set.flush();
    expect(set.events().map(({data}) => data.text)).toEqual(['Home', undefined]);
  });
});

describe('rage clicks', () => {
  const start = (): Scene => {
    document.body.innerHTML = '<button id="a"></button><button id="b"></button>';
    return scene({}, [rageClicks()]);
  };
  const series = async (set: Scene): Promise<[string | undefined, number | undefined][]> => {
    await vi.advanceTimersByTimeAsync(1_100);
    await set.flush();
    return kinds(set, 'rage_click').map(({attributes, value}) => [attributes!['target'], value]);
  };

  test('three are rage, two are not', async () => {
    const set = start();
    for (const target of ['#a', '#a', '#b', '#b', '#b']) mouse(target);
    expect(await series(set)).toEqual([['#b', 3]]);
  });

  test('of a button that makes its content anew at each click', async () => {
    const set = start();
    document.body.innerHTML = '<button id="a"><i></i></button>';
    for (let i = 0; i < 4; i++) {
      mouse('#a i');
      document.querySelector('#a')!.innerHTML = '<i></i>';
    }
    expect(await series(set)).toEqual([['#a', 4]]);
  });

  test('not far from each other', async () => {
    const set = start();
    for (const clientX of [0, 20, 60, 90]) mouse('#a', {clientX});
    expect(await series(set)).toEqual([]);
  });

  test('a series that does not end by itself ends with the page view', async () => {
    const set = start();
    for (let i = 0; i < 205; i++) mouse('#a');
    set.client.startPage('');
    await set.flush();
    expect(kinds(set, 'rage_click').map(({value}) => value)).toEqual([205]);
    expect(set.envelopes().map(({page}) => page.id)).not.toContain(set.client.page.id);
  });

  test('not when there is a pause before each', async () => {
    const set = start();
    for (let i = 0; i < 5; i++) {
      mouse('#a');
      await vi.advanceTimersByTimeAsync(600);
    }
    expect(await series(set)).toEqual([]);
  });

  test('keys and scripts do not rage', async () => {
    const set = start();
    for (let i = 0; i < 5; i++) mouse('#a', {detail: 0});
    expect(await series(set)).toEqual([]);
  });
});

describe('dead clicks', () => {
  const start = (): Scene => {
    document.body.innerHTML = '<button id="a"></button><p id="text"></p><input>';
    return scene({}, [deadClicks(), pageViews()]);
  };
  const dead = async (set: Scene): Promise<(string | undefined)[]> => {
    await vi.advanceTimersByTimeAsync(2_600);
    await set.flush();
    return kinds(set, 'dead_click').map(({attributes}) => attributes!['target']);
  };

  test('one that nothing answers', async () => {
    const set = start();
    mouse('#a');
    mouse('#text');
    expect(await dead(set)).toEqual([]);
    mouse('#a');
    expect(await dead(set)).toEqual(['#a']);
  });

  test.each<[string, () => void]>([
    ['a change', () => document.body.append('changed')],
    ['another page view', () => history.pushState(null, '', '/next')],
    ['another value', () => (document.querySelector('input')!.value = '2')],
    ['a box that is ticked', () => (document.querySelector('input')!.checked = true)],
    ['scrolling', () => document.body.dispatchEvent(new Event('scroll'))],
    ['a form that is sent', () => document.body.dispatchEvent(new Event('submit'))],
    ['a page that is hidden', () => hide()],
  ])('not when it is answered by %s', async (_, answer) => {
    const set = start();
    mouse('#a');
    await vi.advanceTimersByTimeAsync(2_000);
    answer();
    expect(await dead(set)).toEqual([]);
  });

  test('not when a dialog held the page up', async () => {
    const set = start();
    mouse('#a');
    const now = performance.now();
    vi.spyOn(performance, 'now').mockReturnValue(now + 3_000);
    expect(await dead(set)).toEqual([]);
  });

  test('nothing is observed before a press, after an answer, and after close', async () => {
    const observe = vi.spyOn(MutationObserver.prototype, 'observe');
    const disconnect = vi.spyOn(MutationObserver.prototype, 'disconnect');
    const set = start();
    expect(observe).not.toHaveBeenCalled();
    mouse('#a');
    expect(observe).toHaveBeenCalled();
    disconnect.mockClear();
    document.body.append('changed');
    await vi.advanceTimersByTimeAsync(1);
    expect(disconnect).toHaveBeenCalledTimes(1);
    mouse('#a');
    disconnect.mockClear();
    void set.client.close(0);
    expect(disconnect).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
  });
});

describe('forms', () => {
  test('fields that are named like what we ask for do not confuse it', async () => {
    document.body.innerHTML = '<form id="f" method="post" action="/save?token=abc"><input name="action"><input name="method"><input name="id"></form>';
    const set = scene({}, [forms()]);
    document.querySelector('form')!.dispatchEvent(new Event('submit', {bubbles: true}));
    await set.flush();
    expect(set.events()).toMatchObject([{kind: 'form_submit', attributes: {target: '#f', method: 'POST'}, data: {action: `${location.origin}/save?token=[scrubbed]`}}]);
  });
});

describe('time on page', () => {
  const times = (set: Scene) => kinds(set, 'time_on_page').map(({value}) => value);

  test('counts while visible, and what is added after a return is one more event', async () => {
    const set = scene({}, [timeOnPage()]);
    await vi.advanceTimersByTimeAsync(25_000);
    hide();
    await vi.advanceTimersByTimeAsync(3_600_000);
    hide('visible');
    await vi.advanceTimersByTimeAsync(500);
    hide();
    hide('visible');
    hide();
    await set.flush();
    expect(times(set)).toEqual([25_000, 500]);
    expect(new Set(set.envelopes().map(({page}) => page.id)).size).toBe(1);
  });

  test('a device that slept adds at most some seconds', async () => {
    const set = scene({}, [timeOnPage()]);
    await vi.advanceTimersByTimeAsync(12_000);
    // The clock goes on, timers do not.
    const slept = performance.now() + 8 * 3_600_000;
    vi.spyOn(performance, 'now').mockImplementation(() => slept);
    void set.client.close(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(times(set)).toEqual([30_000]);
  });

  test('each page view has its own', async () => {
    const set = scene({}, [timeOnPage()]);
    await vi.advanceTimersByTimeAsync(1_000);
    set.client.startPage('');
    await vi.advanceTimersByTimeAsync(2_000);
    void set.client.close();
    await vi.advanceTimersByTimeAsync(1);
    expect(times(set)).toEqual([1_000, 2_000]);
    expect(new Set(set.envelopes().map(({page}) => page.id)).size).toBe(2);
  });
});

describe('scroll depth', () => {
  test('is the deepest point of the document as long as it is in the end', async () => {
    const root = {scrollTop: 0, clientHeight: 500, scrollHeight: 1_000};
    Object.defineProperty(document, 'scrollingElement', {get: () => root, configurable: true});
    const set = scene({}, [scrollDepth()]);
    root.scrollTop = 400;
    document.dispatchEvent(new Event('scroll'));
    root.scrollTop = 0;
    // More is loaded below.
    root.scrollHeight = 3_000;
    hide();
    hide('visible');
    hide();
    root.scrollTop = 1_500;
    document.dispatchEvent(new Event('scroll'));
    root.scrollHeight = 500;
    root.scrollTop = 0;
    // A router that has drawn the next view already.
    set.client.startPage('');
    hide();
    await set.flush();
    delete (document as any).scrollingElement;
    expect(kinds(set, 'scroll_depth').map(({value}) => value)).toEqual([30, 67, 100]);
  });
});

describe('exposure', () => {
  /** What is visible, as the test says. */
  function observer() {
    const observed = new Set<Element>();
    let tell: (entries: object[]) => void = () => {};
    vi.stubGlobal('IntersectionObserver', class {
      constructor(callback: typeof tell) {
        tell = callback;
      }
      observe = (element: Element) => observed.add(element);
      unobserve = (element: Element) => observed.delete(element);
      disconnect = () => observed.clear();
    });
    const see = (ratio: number, selector = '#a'): void => {
      const target = document.querySelector(selector)!;
      if (observed.has(target)) tell([{target, time: performance.now(), intersectionRatio: ratio, isIntersecting: ratio > 0}]);
    };
    return {observed, see};
  }

  test('a second without a break, once per page view', async () => {
    document.body.innerHTML = '<p id="a" data-monitor-expose="banner"></p>';
    const {observed, see} = observer();
    const set = scene({}, [exposure()]);
    see(0.6);
    await vi.advanceTimersByTimeAsync(900);
    see(0.4);
    await vi.advanceTimersByTimeAsync(900);
    see(0.6);
    // Not seen for a second on the next page view, either.
    await vi.advanceTimersByTimeAsync(900);
    set.client.startPage('');
    await vi.advanceTimersByTimeAsync(900);
    see(1);
    await vi.advanceTimersByTimeAsync(1_100);
    see(0);
    see(1);
    await vi.advanceTimersByTimeAsync(1_100);
    await set.flush();
    expect(set.events()).toMatchObject([{kind: 'exposure', name: 'banner', attributes: {target: '#a'}}]);
    expect(observed.size).toBe(0);
    set.client.startPage('');
    expect(observed.size).toBe(1);
    void set.client.close(0);
    expect(observed.size).toBe(0);
  });

  test('nothing is seen in the background', async () => {
    document.body.innerHTML = '<p id="a" data-monitor-expose></p>';
    const {see} = observer();
    const set = scene({}, [exposure()]);
    see(1);
    hide();
    await vi.advanceTimersByTimeAsync(5_000);
    hide('visible');
    see(1);
    await vi.advanceTimersByTimeAsync(1_100);
    await set.flush();
    expect(set.events().map(({name}) => name)).toEqual(['exposure']);
    expect(set.events()[0]!.time).toBeGreaterThan(Date.UTC(2026, 0, 1) + 5_000);
  });
});

describe('declarative', () => {
  test('its own event only, with its properties', async () => {
    document.body.innerHTML = `<form data-monitor-track="search" data-monitor-on="submit" data-monitor-prop-from="header"><input></form>
      <p data-monitor-track="read" data-monitor-on="click" data-monitor-prop-page="1"><b></b></p>`;
    const set = scene({}, [declarative()]);
    mouse('input');
    mouse('b');
    document.querySelector('form')!.dispatchEvent(new Event('submit', {bubbles: true}));
    await set.flush();
    expect(set.events().map(({kind, name, data}) => [kind, name, data])).toEqual([
      ['track', 'read', {page: '1'}],
      ['track', 'search', {from: 'header'}],
    ]);
  });
});
