import {afterEach, describe, expect, test, vi} from 'vitest';
import {clicks} from '../src/integrations/clicks.js';
import {errors} from '../src/integrations/errors.js';
import {pageViews} from '../src/integrations/pageViews.js';
import {requests} from '../src/integrations/requests.js';
import {resourceErrors} from '../src/integrations/resourceErrors.js';
import {scene, status, tearDown, type Scene} from './scene.js';

afterEach(tearDown);

describe('errors', () => {
  const raise = (init: ErrorEventInit): boolean => window.dispatchEvent(new ErrorEvent('error', init));
  const reject = (reason: unknown): boolean => {
    const event = Object.assign(new Event('unhandledrejection'), {reason});
    return window.dispatchEvent(event);
  };

  test('an uncaught error has place, stack and mechanism', async () => {
    const {events, flush} = scene({}, [errors()]);
    const error = new TypeError('x');
    raise({error, message: 'Uncaught TypeError: x', filename: 'https://cdn/a.js?token=t', lineno: 3, colno: 7});
    await flush();
    expect(events()).toMatchObject([
      {
        kind: 'error',
        name: 'TypeError',
        data: {
          message: 'x',
          stack: error.stack,
          source: 'https://cdn/a.js?token=[scrubbed]',
          line: 3,
          column: 7,
          mechanism: 'onerror',
          handled: false,
        },
      },
    ]);
  });

  test.each([
    ['a script of another origin', {message: 'Script error.'}, 'Error', 'Script error.'],
    ['a thrown text', {message: 'Uncaught oops', error: 'oops'}, 'Error', 'oops'],
    ['a name in the message', {message: 'Uncaught RangeError: too far'}, 'RangeError', 'too far'],
    ['a thrown null', {message: 'Uncaught null', error: null}, 'Error', 'null'],
    ['a line break in the message', {message: 'Uncaught Error: a\nb'}, 'Error', 'a\nb'],
  ])('%s is kept', async (_, init, name, message) => {
    const {events, flush} = scene({}, [errors()]);
    raise(init);
    await flush();
    expect(events()).toMatchObject([{name, data: {message}}]);
  });

  test.each<[unknown, string, string]>([
    [new SyntaxError('bad'), 'SyntaxError', 'bad'],
    ['text', 'UnhandledRejection', 'text'],
    [undefined, 'UnhandledRejection', 'undefined'],
    [{code: 7}, 'UnhandledRejection', '{"code":7}'],
    [
      new Proxy(
        {},
        {
          get() {
            throw new Error('no');
          },
        },
      ),
      'UnhandledRejection',
      '[unreadable]',
    ],
  ])('rejection %#', async (reason, name, message) => {
    const {events, flush} = scene({}, [errors()]);
    reject(reason);
    await flush();
    expect(events()).toMatchObject([{kind: 'error', name, data: {message, mechanism: 'onunhandledrejection', handled: false}}]);
  });

  test('an error that was reported and then thrown on is reported once', async () => {
    const {client, events, flush} = scene({}, [errors()]);
    const error = new Error('once');
    client.captureException(error);
    raise({error, message: 'Uncaught Error: once'});
    reject(error);
    await flush();
    expect(events()).toMatchObject([{data: {mechanism: 'manual'}}]);
  });

  test('the same error object thrown twice is two errors', async () => {
    const {events, flush} = scene({}, [errors()]);
    const error = new Error('singleton');
    raise({error, message: 'x'});
    raise({error, message: 'x'});
    await flush();
    expect(events()).toHaveLength(2);
  });

  test('a fault in a loop is sent a hundred times a minute and counted beyond', async () => {
    const {client, events, envelopes, flush} = scene({}, [errors()]);
    for (let i = 0; i < 250; i++) raise({error: new Error('loop'), message: 'x'});
    raise({error: new Error('another'), message: 'x'});
    await flush();
    expect(events().filter(({data}) => data.message === 'loop')).toHaveLength(100);
    expect(events().filter(({data}) => data.message === 'another')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(60_000);
    raise({error: new Error('loop'), message: 'x'});
    client.track('e');
    await flush();
    expect(events().filter(({data}) => data.message === 'loop')).toHaveLength(101);
    expect(envelopes().flatMap(({discarded}) => discarded ?? [])).toEqual([{reason: 'repeated', kind: 'error', count: 150}]);
  });

  test('after close nothing is captured', async () => {
    const {client, events} = scene({}, [errors()]);
    const closed = client.close();
    raise({error: new Error('late'), message: 'x'});
    await vi.advanceTimersByTimeAsync(1);
    await closed;
    expect(events()).toEqual([]);
  });
});

describe('resource errors', () => {
  test('an image that is missing is an error of its address', async () => {
    const {events, flush} = scene({}, [resourceErrors(), errors()]);
    document.body.innerHTML = '<main id="app"></main>';
    const image = document.createElement('img');
    Object.defineProperty(image, 'src', {value: 'https://me:pw@cdn/a.png?signature=abc&w=1'});
    document.querySelector('main')!.append(image);
    image.dispatchEvent(new Event('error'));
    await flush();
    expect(events()).toMatchObject([
      {
        kind: 'error',
        name: 'ResourceError',
        attributes: {target: 'https://cdn/a.png'},
        data: {source: 'https://cdn/a.png?signature=[scrubbed]&w=1', mechanism: 'resource', handled: false, element: '#app > img'},
      },
    ]);
  });

  test('a style sheet too; an inline image is named by its scheme only; script errors are not for this integration', async () => {
    const {events, flush} = scene({}, [resourceErrors()]);
    const link = document.createElement('link');
    Object.defineProperty(link, 'href', {value: 'https://cdn/a.css'});
    const image = document.createElement('img');
    Object.defineProperty(image, 'src', {value: 'data:image/png;base64,c2VjcmV0'});
    document.body.append(link, image);
    link.dispatchEvent(new Event('error'));
    image.dispatchEvent(new Event('error'));
    window.dispatchEvent(new ErrorEvent('error', {message: 'x'}));
    await flush();
    expect(events().map(({attributes}) => attributes!['target'])).toEqual(['https://cdn/a.css', 'data:']);
    expect(JSON.stringify(events())).not.toContain('c2VjcmV0');
  });
});

describe('page views', () => {
  const views = ({envelopes}: Scene) =>
    envelopes().flatMap(({page, events}) => events.filter(({kind}) => kind === 'page_view').map(({attributes}) => [attributes!['navigation_type'], page.route]));
  const event = (type: string, init: object = {}): boolean => window.dispatchEvent(Object.assign(new Event(type), init));

  test('a load, then each change of the address, with a page of its own', async () => {
    const set = scene({}, [pageViews()]);
    history.pushState(null, '', '/cart?x=1');
    set.client.track('in cart');
    history.replaceState(null, '', '/checkout');
    await set.flush();
    expect(views(set)).toEqual([
      ['load', '/'],
      ['push', '/cart'],
      ['replace', '/checkout'],
    ]);
    const ids = set.envelopes().map(({page}) => page.id);
    expect(new Set(ids).size).toBe(3);
    expect(set.envelopes().map(({page}) => page.referrer)).toEqual(['', `${location.origin}/`, `${location.origin}/cart?x=1`]);
    expect(set.envelopes()[1]!.events.map(({name, seq}) => [name, seq])).toEqual([
      ['page_view', 0],
      ['in cart', 1],
    ]);
  });

  test('replaceState on the same path and pushState to the same address are no views', async () => {
    const set = scene({}, [pageViews()]);
    history.replaceState({scroll: 5}, '', '/?tab=2');
    history.pushState({modal: true}, '');
    await set.flush();
    expect(views(set)).toEqual([['load', '/']]);
  });

  test('back is one view, although two events may tell of it', async () => {
    const set = scene({}, [pageViews()]);
    history.pushState(null, '', '/b');
    vi.spyOn(location, 'href', 'get').mockReturnValue(`${location.origin}/a`);
    event('popstate');
    event('hashchange');
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'push', 'pop']);
  });

  test('a step within the page is one view of type hash', async () => {
    const set = scene({}, [pageViews()]);
    vi.spyOn(location, 'href', 'get').mockReturnValue(`${location.origin}/#reviews`);
    event('popstate');
    event('hashchange');
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'hash']);
  });

  test('a restore from the back/forward cache is a view, a first showing is not another one', async () => {
    const set = scene({}, [pageViews()]);
    event('pageshow', {persisted: false});
    event('pageshow', {persisted: true});
    await set.flush();
    expect(views(set).map(([type]) => type)).toEqual(['load', 'bfcache']);
  });

  test('a prerendered page is viewed when it is shown', async () => {
    Object.defineProperty(document, 'prerendering', {value: true, configurable: true});
    const set = scene({}, [pageViews()]);
    await set.flush();
    expect(set.network).not.toHaveBeenCalled();
    document.dispatchEvent(new Event('prerenderingchange'));
    await set.flush();
    expect(views(set)).toEqual([['load', '/']]);
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
    expect(events()).toMatchObject([{kind: 'click', name: 'click', attributes: {target: '#pay'}, data: {x: 10, y: 21}}]);
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

describe('requests by fetch', () => {
  /** A page whose native fetch is `native`; the SDK's own sends are told apart by their address. */
  function page(native: (...args: any[]) => unknown, integrations = [requests()]) {
    const set = scene({}, []);
    const own = set.network;
    const network = vi.fn((...args: any[]) => (String(args[0]).startsWith('https://monitor.example') ? own(...(args as [string, RequestInit])) : native(...args)));
    vi.stubGlobal('fetch', network);
    const undo = integrations.map((integration) => integration.setup(set.client) as () => void);
    return {...set, page: network, undo: () => undo.forEach((stop) => stop())};
  }
  const requestsOf = (set: Scene) => set.events().filter(({kind}) => kind === 'request');

  test('an answer: method, status, address without query, duration and sizes', async () => {
    const set = page(async () => {
      vi.setSystemTime(Date.now());
      await vi.advanceTimersByTimeAsync(120);
      return status(200, {'content-length': '17'});
    });
    await fetch('/api/cart?token=abc#x', {method: 'post', body: 'é'});
    await set.flush();
    expect(requestsOf(set)).toMatchObject([
      {
        kind: 'request',
        name: 'fetch',
        attributes: {method: 'POST', status: '200', target: `${location.origin}/api/cart`},
        data: {url: `${location.origin}/api/cart?token=[scrubbed]#x`, request_size: 2, response_size: 17},
      },
    ]);
    expect(requestsOf(set)[0]!.value).toBeGreaterThanOrEqual(119);
    expect(requestsOf(set)[0]!.attributes).not.toHaveProperty('failure');
  });

  test.each([
    ['an HTTP error', async () => status(500), {status: '500', failure: 'http'}],
    [
      'no network',
      async () => {
        throw new TypeError('Failed to fetch');
      },
      {status: '0', failure: 'network'},
    ],
    [
      'an abort',
      async () => {
        throw new DOMException('x', 'AbortError');
      },
      {status: '0', failure: 'abort'},
    ],
    [
      'a timeout',
      async () => {
        throw new DOMException('x', 'TimeoutError');
      },
      {status: '0', failure: 'timeout'},
    ],
  ])('%s', async (_, native, attributes) => {
    const set = page(native);
    await fetch('/x').catch(() => {});
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes}]);
  });

  test('an abort with a reason of its own is an abort', async () => {
    const abort = new AbortController();
    const set = page(async () => {
      abort.abort('because');
      throw 'because';
    });
    await expect(fetch('/x', {signal: abort.signal})).rejects.toBe('because');
    await set.flush();
    expect(requestsOf(set)).toMatchObject([{attributes: {failure: 'abort'}}]);
  });

  test('the page gets the very same answer, arguments, this and exception', async () => {
    const response = status(200);
    const failure = new TypeError('x');
    const native = vi.fn(async function (this: unknown, ...args: unknown[]) {
      if (args[0] === '/fail') throw failure;
      return response;
    });
    const set = page(native);
    const init = {headers: {a: 'b'}};
    expect(await fetch('/ok', init)).toBe(response);
    expect(native.mock.calls[0]).toEqual(['/ok', init]);
    expect(native.mock.calls[0]![1]).toBe(init);
    expect(response.bodyUsed).toBe(false);
    await expect(fetch('/fail')).rejects.toBe(failure);
    await (fetch as any).call(undefined);
    expect(native.mock.calls[2]).toEqual([]);
    set.undo();
  });

  test('an exception thrown at once stays one', () => {
    const failure = new Error('sync');
    page(() => {
      throw failure;
    });
    expect(() => fetch('/x')).toThrow(failure);
  });

  class Cancelable extends Promise<Response> {}
  test.each<[string, unknown]>([
    ['a promise with extras', Object.assign(Promise.resolve(status(200)), {cancel: () => {}})],
    ['a subclass of promise', Cancelable.resolve(status(200))],
    ['a thenable', {then: () => {}}],
    ['no promise', 5],
  ])('%s, of an older wrapper, is handed on as it is', (_, special) => {
    page(() => special);
    expect(fetch('/x')).toBe(special);
  });

  test('a mock that answers nonsense reaches the page unharmed', async () => {
    const set = page(async () => undefined);
    for (let i = 0; i < 5; i++) expect(await fetch('/x')).toBeUndefined();
    set.undo();
  });

  test('rejections that the page does not handle stay unhandled', async () => {
    const set = page(async () => {
      throw new TypeError('nobody handles this');
    });
    const unhandled = new Promise<unknown>((resolve) => process.once('unhandledRejection', resolve));
    void fetch('/x');
    vi.useRealTimers();
    expect(await unhandled).toMatchObject({message: 'nobody handles this'});
    vi.useFakeTimers();
    set.undo();
  });

  test('a Request object, a URL object and an invalid address are understood', async () => {
    const set = page(async () => status(200));
    await fetch(new Request('https://api.example/a?x', {method: 'PUT'}));
    await fetch(new URL('https://api.example/b'));
    await fetch('http://[broken');
    await fetch('data:text/plain,secret');
    await set.flush();
    expect(requestsOf(set).map(({attributes}) => [attributes!['method'], attributes!['target']])).toEqual([
      ['PUT', 'https://api.example/a'],
      ['GET', 'https://api.example/b'],
      ['GET', 'http://[broken'],
      ['GET', 'data:'],
    ]);
    expect(JSON.stringify(set.events())).not.toContain('secret');
  });

  test('requests to the receiver and ignored ones are not captured', async () => {
    const set = page(async () => status(200), [requests({ignore: ['/health', /\.map$/]})]);
    await fetch('https://monitor.example/api/shop/events?key=public', {method: 'POST', body: '{"events":[]}'});
    set.network.mockClear();
    await fetch('/health');
    await fetch('/a.map');
    await fetch('/seen');
    await set.flush();
    expect(requestsOf(set)).toHaveLength(1);
  });

  test('a request that a hook makes is not captured: it would never end', async () => {
    // A loop ends here, so that the test fails instead of running for ever.
    const native = vi.fn(() => (native.mock.calls.length > 50 ? new Promise<Response>(() => {}) : Promise.resolve(status(200))));
    const set = scene({
      beforeSend(event) {
        void fetch('/log');
        return event;
      },
    });
    const own = set.network;
    vi.stubGlobal('fetch', native);
    const stop = requests().setup(set.client) as () => void;
    set.client.track('e');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(native).toHaveBeenCalledTimes(1);
    expect(own).toHaveBeenCalledTimes(1);
    stop();
  });

  test('the request belongs to the page on which it began', async () => {
    const set = page(async () => {
      set.client.startPage('');
      return status(200);
    });
    const first = set.client.page.id;
    await fetch('/x');
    await set.flush();
    expect(set.envelopes()[0]!.page.id).toBe(first);
  });

  test('after undoing, fetch is what it was; a wrapper on top of ours keeps working', async () => {
    const set = page(async () => status(200));
    const ours = globalThis.fetch;
    set.undo();
    expect(globalThis.fetch).toBe(set.page);

    const again = page(async () => status(200));
    const theirs = vi.fn((...args: [any]) => ours(...args));
    globalThis.fetch = theirs as any;
    again.undo();
    expect(globalThis.fetch).toBe(theirs);
    await fetch('/x');
    await again.flush();
    expect(requestsOf(again)).toEqual([]);
  });
});

describe('requests by XMLHttpRequest', () => {
  class FakeXhr extends EventTarget {
    static sent: unknown[][] = [];
    status = 0;
    open(..._args: unknown[]): string {
      return 'result of open';
    }
    send(...args: unknown[]): string {
      FakeXhr.sent.push(args);
      if (args[0] === 'throw') throw new DOMException('x', 'InvalidStateError');
      return 'result of send';
    }
    finish(type: string, code = 0, loaded = 0): void {
      this.status = code;
      if (type !== 'load') this.dispatchEvent(new Event(type));
      this.dispatchEvent(Object.assign(new Event('loadend'), {loaded}));
    }
  }

  function page(): Scene {
    FakeXhr.sent = [];
    vi.stubGlobal('XMLHttpRequest', FakeXhr);
    return scene({}, [requests()]);
  }
  const xhrs = (set: Scene) => set.events().filter(({kind}) => kind === 'request');

  test.each([
    ['load', 200, {status: '200'}, undefined],
    ['load', 404, {status: '404'}, 'http'],
    ['error', 0, {status: '0'}, 'network'],
    ['abort', 0, {status: '0'}, 'abort'],
    ['timeout', 0, {status: '0'}, 'timeout'],
  ])('%s with %i', async (type, code, attributes, failure) => {
    const set = page();
    const xhr = new FakeXhr();
    expect(xhr.open('post', '/save?key=1', true)).toBe('result of open');
    expect(xhr.send('body')).toBe('result of send');
    expect(FakeXhr.sent).toEqual([['body']]);
    xhr.finish(type, code, 33);
    await set.flush();
    expect(xhrs(set)).toMatchObject([
      {name: 'xhr', attributes: {...attributes, method: 'POST', target: `${location.origin}/save`}, data: {request_size: 4, response_size: 33}},
    ]);
    expect(xhrs(set)[0]!.attributes!['failure']).toBe(failure);
  });

  test('an object that is used again is captured each time once', async () => {
    const set = page();
    const xhr = new FakeXhr();
    for (const path of ['/a', '/b']) {
      xhr.open('GET', path);
      xhr.send();
      xhr.finish('load', 200);
    }
    await set.flush();
    expect(xhrs(set).map(({attributes}) => attributes!['target'])).toEqual([`${location.origin}/a`, `${location.origin}/b`]);
  });

  test('an exception of send reaches the page and leaves nothing behind', async () => {
    const set = page();
    const xhr = new FakeXhr();
    xhr.open('GET', '/a');
    expect(() => xhr.send('throw')).toThrow('x');
    xhr.finish('load', 200);
    await set.flush();
    expect(xhrs(set)).toEqual([]);
  });

  test('after close, the prototype is what it was', () => {
    const {open, send} = FakeXhr.prototype;
    const set = page();
    expect(FakeXhr.prototype.open).not.toBe(open);
    void set.client.close(0);
    expect(FakeXhr.prototype.open).toBe(open);
    expect(FakeXhr.prototype.send).toBe(send);
  });
});
