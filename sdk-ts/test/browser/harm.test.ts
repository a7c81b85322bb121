/**
 * The SDK does no harm: with every integration running, a page gets the same results, exceptions, events and console lines as
 * without it. Most tests run one script on a bare page and on a monitored one, and compare what it noted.
 */
import {readdirSync} from 'node:fs';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {startScene, type Scene, type StoredEvent, type Visit, type VisitOptions} from './receiver.js';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
  Object.assign(scene.routes, {
    '/ok.json': {body: '{"a":1}'},
    '/empty': {status: 204},
    '/broken': {status: 500, body: 'broken'},
    '/slow.txt': {body: 'late', delay: 400},
    '/moved': {status: 302, headers: {location: '/ok.json'}},
    '/open.json': {body: '{"b":2}', headers: {'access-control-allow-origin': '*'}},
  });
});
afterAll(() => scene?.stop());
beforeEach(() => scene.faults.heal());

/** Integrations of frameworks have nothing to do on a page without one; the others decide what is not sent, and are not of use here. */
const LEFT_OUT = ['react', 'vue', 'consent', 'keepIfBad'];

/** Starts the SDK with every integration there is, so that a new one is tested without being named here. */
function everything(release = 'RELEASE'): string {
  const files = readdirSync(new URL('../../src/integrations', import.meta.url)).map((file) => file.replace(/\.tsx?$/, ''));
  const names = files.filter((name) => !LEFT_OUT.includes(name));
  // By name: a namespace object would be built by the bundler's own code, which a hostile page can break.
  return `
    import {init, captureException, track} from '../../src/index.js';
    ${names.map((name) => `import {${name}} from '../../src/integrations/${name}.js';`).join('\n')}
    const start = () => {
      const made = [${names.join(', ')}].map((make: any) => make());
      return init({
        dsn: MONITOR_DSN, release: ${release},
        integrations: (defaults) => [...defaults, ...made.filter(({name}) => !defaults.some((other) => other.name === name))],
      });
    };
    const client = start();
    if (!client?.endpoint) throw new Error('the SDK did not start');`;
}

/** What page scripts note: \`say\` for a value, \`result\` for what a call returns, throws or settles to. */
const NOTES = `
  const notes: unknown[] = [];
  const show = (value: any): unknown => {
    if (value instanceof Error || value instanceof DOMException) return 'thrown ' + value.name + ': ' + value.message;
    if (typeof value === 'function') return 'function ' + value.name + '/' + value.length;
    if (value instanceof Response) return ['response', value.status, value.type, value.url.replace(/^.*:\\d+/, ''), value.redirected];
    if (value instanceof Promise) return 'promise';
    if (value === undefined) return 'undefined';
    if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
    return value;
  };
  const say = (label: string, ...values: unknown[]) => void notes.push([label, ...values.map(show)]);
  const result = async (label: string, call: () => unknown) => {
    let value: any;
    try { value = call(); } catch (error) { return say(label, 'at once', error); }
    if (!(value instanceof Promise)) return say(label, value);
    say(label, Object.getPrototypeOf(value) === Promise.prototype);
    await value.then((settled) => say(label, 'resolved', settled), (error) => say(label, 'rejected', error));
  };
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));`;

interface Play extends Omit<VisitOptions, 'script'> {
  /** Script that runs before the SDK, as text of a classic script. */
  before?: string;
  /** What the user does. */
  act?: (visit: Visit) => Promise<void>;
}

/** Runs a script, which may use \`await\`, on a page without and one with the SDK; both must note the same. */
async function same(script: string, {before = '', act, body = '', ...options}: Play = {}): Promise<Visit> {
  const play = async (sdk: string): Promise<{notes: unknown; problems: string[]; console: string[]; visit: Visit}> => {
    scene.routes['/before.js'] = {body: before};
    // A file of its own, so that stacks are the same too.
    const played = `${NOTES}\nglobalThis.notes = notes; globalThis.played = (async () => {${script}})().then(() => notes);`;
    scene.routes['/page.js'] = {body: await scene.bundle(played, 'page')};
    const visit = await scene.visit({
      ...options,
      path: options.path ?? '/harm',
      head: '<script src="/before.js"></script>',
      body: `<script src="/page.js"></script>${body}`,
      script: sdk,
    });
    await visit.page.evaluate(() => (globalThis as any).ready);
    await act?.(visit);
    const notes = await visit.page.evaluate(() => (globalThis as any).played);
    // What the page left for later, such as the report of a rejection.
    await visit.page.waitForTimeout(100);
    const later = await visit.page.evaluate(() => (globalThis as any).notes);
    const {problems, console} = visit;
    return {notes: [notes, later], problems, console, visit};
  };
  const {visit: bare, ...expected} = await play('');
  await bare.page.close();
  const {visit, ...got} = await play(everything());
  expect(got).toEqual(expected);
  expect((expected.notes as unknown[][])[0]!.length, 'the script noted something').toBeGreaterThan(0);
  return visit;
}

/** The SDK is alive: what is tracked now arrives. */
async function alive(visit: Visit): Promise<StoredEvent[]> {
  await visit.leave();
  const events = await scene.events(visit, {count: 1, settle: 800});
  expect(events.length).toBeGreaterThan(0);
  return events;
}

const of = (events: StoredEvent[], kind: string): StoredEvent[] => events.filter((event) => event.kind === kind);

describe('fetch', () => {
  test('results, rejections and wrong arguments are the same', async () => {
    const visit = await same(`
      for (const url of ['/ok.json', '/empty', '/broken', '/missing', '/moved', new URL('/ok.json', location.href), new Request('/ok.json'), OTHER_ORIGIN + '/open.json', OTHER_ORIGIN + '/ok.json', 'data:text/plain,x', 'blob:nothing', 'http://127.0.0.1:1/'])
        await result('get ' + (url instanceof Request ? 'request' : url), () => fetch(url));
      await result('no argument', () => (fetch as any)());
      await result('symbol', () => fetch(Symbol('s') as any));
      await result('null', () => fetch(null as any));
      await result('object', () => fetch({} as any));
      await result('throwing text', () => fetch({toString() { throw new RangeError('no text'); }} as any));
      await result('bad url', () => fetch('http://'));
      await result('credentials', () => fetch('http://a:b@127.0.0.1/'));
      await result('bad method', () => fetch('/ok.json', {method: 'CONNECT'}));
      await result('get with body', () => fetch('/ok.json', {method: 'GET', body: 'x'}));
      await result('init is a text', () => fetch('/ok.json', 'x' as any));
      await result('init is null', () => fetch('/ok.json', null as any));
      await result('bad signal', () => fetch('/ok.json', {signal: {} as any}));
      await result('bad header', () => fetch('/ok.json', {headers: {'x y': '1'}}));
      await result('throwing getter', () => fetch('/ok.json', {get method(): string { throw new RangeError('no method'); }}));
      await result('bad mode', () => fetch('/ok.json', {mode: 'navigate'}));
      const request = new Request('/ok.json', {method: 'POST', body: 'text'});
      await result('request with body', () => fetch(request));
      say('used', request.bodyUsed);
      await result('request again', () => fetch(request));
      await result('stream without duplex', () => fetch('/ok.json', {method: 'POST', body: new ReadableStream() as any}));
      for (const body of [new FormData(), new Blob(['x']), new Uint8Array(3), new URLSearchParams('a=1'), 'é'])
        await result('post', () => fetch('/ok.json', {method: 'POST', body}));
    `);
    // The browser's own lines are there, ours are not.
    expect(visit.console.filter((line) => !/Failed to load resource|CORS policy|Fetch API cannot load blob/.test(line))).toEqual([]);
  });

  test('this and the wrapped function of the page are the same', async () => {
    await same(`
      const {fetch: loose} = window;
      await result('loose', () => loose('/ok.json'));
      for (const receiver of [undefined, null, window, globalThis, {}, document, 'x'])
        await result('this', () => fetch.call(receiver as any, '/ok.json'));
      await result('apply', () => Reflect.apply(fetch, undefined, ['/ok.json']));
      await result('bound', () => fetch.bind(window)('/ok.json'));
      const proxy = new Proxy(fetch, {apply: (target, that, args) => { say('proxy', args.length); return Reflect.apply(target, that, args); }});
      await result('proxy', () => proxy('/ok.json'));
      class Result extends Promise<any> {}
      const original = window.fetch;
      window.fetch = (...args) => Object.assign(Result.resolve(original(...args)), {extra: 1});
      const own: any = window.fetch('/ok.json');
      say('own promise', own instanceof Result, own.extra, (await own).status);
      window.fetch = original;
    `);
  });

  test('bodies, streams, clones and aborts are the same', async () => {
    await same(`
      const response = await fetch('/ok.json');
      const copy = response.clone();
      say('bodies', await response.json(), await copy.text(), response.bodyUsed, [...response.headers.keys()]);
      await result('used', () => response.text());
      const reader = (await fetch('/ok.json')).body!.getReader();
      say('chunk', new TextDecoder().decode((await reader.read()).value), (await reader.read()).done);
      const before = new AbortController();
      before.abort();
      await result('aborted before', () => fetch('/slow.txt', {signal: before.signal}));
      for (const reason of [undefined, new TypeError('mine'), 'text', null, 0]) {
        const during = new AbortController();
        setTimeout(() => during.abort(reason), 20);
        await result('aborted', () => fetch('/slow.txt', {signal: during.signal}));
      }
      const request = new Request('/slow.txt', {signal: AbortSignal.timeout(20)});
      await result('timeout', () => fetch(request));
      const late = new AbortController();
      const headers = await fetch('/slow.txt', {signal: late.signal});
      late.abort();
      await result('body after abort', () => headers.text());
    `);
  });

  test('a rejection that nobody handles is reported to the page once, and one that is handled is not', async () => {
    await same(`
      addEventListener('unhandledrejection', (event) => say('unhandled', event.reason, event.promise === bad));
      addEventListener('rejectionhandled', (event) => say('handled late'));
      const bad = fetch('http://127.0.0.1:1/');
      // One after the other, because the browser may fail several in one task.
      await pause(100);
      fetch('http://127.0.0.1:1/').catch(() => say('caught'));
      await pause(100);
      fetch('http://127.0.0.1:1/').then(() => {}).finally(() => say('finally')).catch(() => {});
      await pause(300);
      bad.catch(() => say('caught late'));
      await pause(100);
    `);
  });

  test('arguments are not changed, and what they convert to is asked for in the same order', async () => {
    await same(`
      const asked: string[] = [];
      const init = Object.freeze({method: 'POST', body: '{}', headers: Object.freeze({'content-type': 'application/json'})});
      await result('frozen', () => fetch('/ok.json', init));
      say('init', init, Object.keys(init));
      const headers = new Headers({a: '1'});
      await fetch('/ok.json', {headers});
      say('headers', [...headers]);
      const url = new URL('/ok.json', location.href);
      await fetch(url);
      say('url', url.pathname);
    `);
  });
});

describe('XMLHttpRequest', () => {
  test('events, states and order are the same', async () => {
    await same(`
      const TYPES = ['loadstart', 'progress', 'load', 'loadend', 'error', 'abort', 'timeout', 'readystatechange'];
      const run = (label: string, url: string, {method = 'GET', body, prepare}: any = {}) => new Promise<void>((resolve) => {
        const xhr = new XMLHttpRequest();
        const log: string[] = [];
        for (const type of TYPES) {
          (xhr as any)['on' + type] = (event: Event) => log.push('on ' + type + ' ' + xhr.readyState + ' ' + xhr.status + ' ' + (event.target === xhr));
          xhr.addEventListener(type, () => log.push(type));
          xhr.upload.addEventListener(type, () => log.push('upload ' + type));
        }
        xhr.addEventListener('loadend', () => { say(label, log, xhr.status, xhr.statusText, xhr.responseText); resolve(); });
        say(label, 'open returns', xhr.open(method, url));
        prepare?.(xhr);
        say(label, 'send returns', xhr.send(body));
      });
      await run('ok', '/ok.json');
      await run('post', '/ok.json', {method: 'POST', body: 'x'});
      await run('missing', '/missing');
      await run('network', 'http://127.0.0.1:1/');
      await run('cors', OTHER_ORIGIN + '/ok.json');
      await run('timeout', '/slow.txt', {prepare: (xhr: XMLHttpRequest) => { xhr.timeout = 30; }});
      await run('abort', '/slow.txt', {prepare: (xhr: XMLHttpRequest) => { setTimeout(() => xhr.abort(), 30); }});
      await run('abort at headers', '/ok.json', {prepare: (xhr: XMLHttpRequest) => xhr.addEventListener('readystatechange', () => { if (xhr.readyState === 2) xhr.abort(); })});
    `);
  });

  test('errors, sync requests, subclasses and reuse are the same', async () => {
    await same(`
      await result('send before open', () => new XMLHttpRequest().send());
      await result('no arguments', () => (new XMLHttpRequest() as any).open());
      await result('one argument', () => (new XMLHttpRequest() as any).open('GET'));
      await result('bad method', () => new XMLHttpRequest().open('B A D', '/'));
      await result('forbidden method', () => new XMLHttpRequest().open('TRACE', '/'));
      await result('bad url', () => new XMLHttpRequest().open('GET', 'http://'));
      await result('symbol', () => new XMLHttpRequest().open(Symbol('x') as any, '/'));
      await result('throwing text', () => new XMLHttpRequest().open('GET', {toString() { throw new RangeError('no text'); }} as any));
      await result('foreign this', () => XMLHttpRequest.prototype.open.call({} as any, 'GET', '/'));
      await result('foreign send', () => XMLHttpRequest.prototype.send.call({} as any));
      await result('undefined async', () => { const xhr = new XMLHttpRequest(); (xhr as any).open('GET', '/ok.json', undefined); xhr.send(); return xhr.status; });
      const sync = new XMLHttpRequest();
      sync.open('GET', '/ok.json', false);
      sync.addEventListener('loadend', () => say('sync loadend'));
      sync.send();
      say('sync', sync.status, sync.responseText);
      sync.open('GET', 'http://127.0.0.1:1/', false);
      await result('sync network', () => sync.send());
      class Mine extends XMLHttpRequest {
        override open(method: string, url: string | URL) { say('mine', method); return super.open(method, url); }
        override send(body?: any) { say('mine sends'); return super.send(body); }
      }
      const mine = new Mine();
      const over = () => new Promise((resolve) => mine.addEventListener('loadend', resolve, {once: true}));
      mine.open('get', '/ok.json');
      mine.responseType = 'json';
      mine.send();
      await over();
      say('subclass', mine.response, mine.responseURL.replace(/^.*:\\d+/, ''));
      mine.open('GET', '/missing');
      await result('double send', () => { mine.send(); return mine.send(); });
      await over();
      say('reused', mine.status);
      const thrower = new XMLHttpRequest();
      addEventListener('error', (event) => say('onerror', event.message));
      thrower.onload = () => { throw new RangeError('in onload'); };
      thrower.open('GET', '/ok.json');
      thrower.send();
      await new Promise((resolve) => thrower.addEventListener('loadend', resolve));
      say('keys', Object.keys(thrower), Object.keys(XMLHttpRequest.prototype));
    `);
  });
});

test('the console says the same, returns the same and minds its this the same', async () => {
  await same(`
    const cycle: any = {n: 1n}; cycle.self = cycle;
    const revoked = Proxy.revocable({}, {}); revoked.revoke();
    for (const level of ['debug', 'log', 'info', 'warn', 'error', 'trace', 'dir', 'table', 'group', 'groupEnd', 'count', 'assert'] as const) {
      const method = (console as any)[level];
      say(level, method('%s is %d', level, 1), method.call(null, 'loose'), method.call({}, 'foreign'), method());
      await result(level + ' hostile', () => method(cycle, document.body, window, Symbol('s'), null, undefined, -0));
      await result(level + ' revoked', () => method(revoked.proxy));
      await result(level + ' getter', () => method({get a() { throw new Error('getter'); }, toString() { throw new Error('text'); }, toJSON() { throw new Error('json'); }}));
      await result(level + ' text', () => method('%s', {toString() { throw new Error('text'); }}));
    }
    console.error(new TypeError('an error'));
    say('keys', Object.keys(console), Object.prototype.toString.call(console));
  `);
});

test('history throws, returns, keeps state and fires the same', async () => {
  await same(`
    const events: unknown[] = [];
    addEventListener('popstate', (event) => say('popstate', event.state, location.pathname + location.hash));
    addEventListener('hashchange', (event) => say('hashchange', new URL(event.newURL).hash));
    const start = history.length;
    for (const name of ['pushState', 'replaceState'] as const) {
      await result(name, () => history[name]({a: 1}, '', '/harm/' + name));
      say(name, history.state, location.pathname, history.length - start);
      await result('function', () => history[name](() => {}, ''));
      await result('other origin', () => history[name](null, '', OTHER_ORIGIN));
      await result('bad url', () => history[name](null, '', 'http://'));
      await result('no arguments', () => (history as any)[name]());
      await result('foreign this', () => history[name].call({} as any, null, ''));
      await result('prototype', () => History.prototype[name].call(history, {b: 2}, '', '#' + name));
      await result('no url', () => history[name]({c: 3}, ''));
      await result('throwing getter', () => history[name]({get a() { throw new RangeError('state'); }}, ''));
      say(name, history.state, location.hash);
    }
    const step = async (go: () => void) => {
      const arrived = new Promise((resolve) => addEventListener('popstate', resolve, {once: true}));
      go();
      await arrived;
      // The event \`hashchange\` follows.
      await pause(50);
    };
    await step(() => history.back());
    await step(() => { location.hash = 'here'; });
    await step(() => history.back());
    await step(() => history.go(-1));
    say('end', location.pathname, location.hash, history.state, JSON.stringify(history));
  `);
});

describe('events of the page', () => {
  const form = `<form id="form" action="/harm" method="get"><input id="field" name="q"><button id="submit">Go</button></form>
    <label id="label">L<input type="checkbox" id="check"></label><a id="link" href="#there">link</a>
    <div id="box" style="height:60px;overflow:scroll"><p style="height:400px">scrolled</p></div><button id="plain">plain</button>`;

  test('order, default actions, cancelling and stopping are the same', async () => {
    await same(
      `
      let done: () => void;
      const finished = new Promise<void>((resolve) => { done = resolve; });
      globalThis.finish = () => done();
      globalThis.ready = new Promise<void>((resolve) => addEventListener('load', () => {
        const types = ['click', 'submit', 'change', 'keydown', 'wheel', 'scroll', 'pointerdown', 'focusin'];
        for (const type of types) {
          for (const [name, target] of [['window', window], ['document', document], ['form', document.getElementById('form')!], ['plain', document.getElementById('plain')!]] as const) {
            for (const capture of [true, false]) target.addEventListener(type, (event) => {
              say(type, name, capture, (event.target as any).id ?? 'no id', event.defaultPrevented, event.eventPhase, event.cancelable, event.composedPath().length);
            }, {capture, passive: false});
          }
        }
        document.getElementById('form')!.addEventListener('submit', (event) => event.preventDefault());
        document.getElementById('box')!.addEventListener('wheel', (event) => event.preventDefault(), {passive: false});
        document.getElementById('link')!.onclick = () => false;
        let stopped = 0;
        document.getElementById('plain')!.addEventListener('click', (event) => { if (++stopped > 1) event.stopImmediatePropagation(); }, true);
        resolve();
      }));
      await finished;
      say('end', location.hash, document.getElementById('box')!.scrollTop, (document.getElementById('check') as HTMLInputElement).checked, (document.getElementById('field') as HTMLInputElement).value);
      `,
      {
        body: form,
        act: async ({page}) => {
          await page.click('#plain');
          await page.click('#plain');
          await page.click('#label');
          await page.click('#link');
          await page.fill('#field', 'words');
          await page.press('#field', 'Enter');
          await page.click('#submit');
          await page.hover('#box');
          await page.mouse.wheel(0, 100);
          await page.waitForTimeout(150);
          await page.evaluate(() => {
            document.getElementById('plain')!.click();
            document.getElementById('plain')!.dispatchEvent(new MouseEvent('click', {bubbles: true}));
            dispatchEvent(new Event('click'));
            document.dispatchEvent(new CustomEvent('submit', {bubbles: true}));
            (globalThis as any).finish();
          });
        },
      },
    );
  });

  test('elements that hide their own properties behind their fields are clicked and submitted without harm', async () => {
    const names = ['id', 'tagName', 'localName', 'className', 'classList', 'attributes', 'getAttribute', 'hasAttribute', 'closest', 'matches', 'parentElement', 'parentNode', 'children', 'textContent', 'action', 'method', 'submit', 'dataset', 'nodeName', 'nodeType', 'getBoundingClientRect', 'addEventListener', 'querySelector', 'contains', 'ownerDocument', 'elements', 'toString'];
    const body = `<form id="f" style="padding:20px" onsubmit="return false">${names.map((name) => `<input name="${name}" size="1">`).join('')}<button id="go">Go</button></form><button id="after">after</button>`;
    const visit = await same(
      `
      globalThis.ready = new Promise<void>((resolve) => addEventListener('load', () => resolve()));
      addEventListener('submit', (event) => say('submit', event.defaultPrevented));
      addEventListener('click', (event) => say('click', event.defaultPrevented));
      await globalThis.ready;
      await new Promise((resolve) => document.getElementById('after')!.addEventListener('click', resolve));
      `,
      {
        body,
        act: async ({page}) => {
          // The browser's tools stumble over such a form themselves; the mouse does not.
          const at = (id: string): Promise<{x: number; y: number}> =>
            page.evaluate((id) => {
              const {x, y} = Element.prototype.getBoundingClientRect.call(document.getElementById(id)!);
              return {x: x + 5, y: y + 5};
            }, id);
          for (const id of ['f', 'f', 'f', 'f', 'go', 'go', 'go', 'go']) {
            const {x, y} = await at(id);
            await page.mouse.click(x, y);
          }
          await page.click('#after');
        },
      },
    );
    // What such a form is called nobody can say; that of the others is not lost.
    const clicks = of(await alive(visit), 'click');
    expect(clicks.filter(({target}) => target.includes('#after')).length).toBe(1);
    expect(clicks.filter(({target}) => target.includes('#go')).length).toBe(4);
  });

  test('a form with fields named like its own attributes is reported as any other', async () => {
    const names = ['id', 'name', 'action', 'method', 'title', 'target', 'className', 'submit', 'children', 'elements'];
    const visit = await scene.visit({
      script: everything(),
      body: `<form id="f" onsubmit="return false">${names.map((name) => `<input name="${name}" size="1">`).join('')}<button id="go">Go</button></form>`,
    });
    for (let i = 0; i < 4; i++) await visit.page.click('#go');
    expect([visit.problems, visit.console]).toEqual([[], []]);
    const events = await alive(visit);
    expect(of(events, 'click').map(({target}) => target)).toEqual(Array(4).fill('#go'));
    expect(of(events, 'form_submit').map(({target, data}) => [target, data.action])).toEqual(Array(4).fill(['#f', visit.url]));
  });

  test('no listener of the SDK holds up the page or keeps it out of the back/forward cache', async () => {
    const visit = await scene.visit({
      head: '<script src="/before.js"></script>',
      script: `${everything()} addEventListener('pageshow', (event) => { globalThis.persisted = event.persisted; }); track('first');`,
      prepare: () => {
        scene.routes['/before.js'] = {
          body: `window.listened = []; const add = EventTarget.prototype.addEventListener;
            EventTarget.prototype.addEventListener = function (type, listener, options) {
              window.listened.push({type, passive: typeof options === 'object' && !!options.passive, on: this === window ? 'window' : this.constructor.name});
              return add.call(this, type, listener, options);
            };`,
        };
        scene.routes['/next'] = '<!doctype html><title>Next</title><link rel="icon" href="data:,"><p>next';
      },
    });
    await visit.page.waitForTimeout(500);
    const listened: {type: string; passive: boolean; on: string}[] = await visit.page.evaluate(() => (globalThis as any).listened);
    expect(listened.length).toBeGreaterThan(0);
    expect(listened.filter(({type}) => type === 'unload')).toEqual([]);
    const blocking = ['wheel', 'touchstart', 'touchmove', 'touchend', 'touchcancel', 'scroll', 'mousewheel'];
    expect(listened.filter(({type, passive}) => blocking.includes(type) && !passive)).toEqual([]);
    await visit.page.goto(`${scene.origin}/next`);
    await visit.page.goBack({waitUntil: 'commit'});
    await visit.page.waitForTimeout(300);
    expect(await visit.page.evaluate(() => (globalThis as any).persisted)).toBe(true);
    expect([visit.problems, visit.console]).toEqual([[], []]);
  });
});

describe('errors of the page', () => {
  test('handlers get the same, and error objects are left as they were', async () => {
    await same(`
      const state = (error: any) => [Object.getOwnPropertyNames(error).sort(), Object.isFrozen(error), error.stack === stacks.get(error), Object.getPrototypeOf(error) === RangeError.prototype];
      const stacks = new Map<unknown, string>();
      const make = (text: string, freeze = false) => { const error = new RangeError(text); stacks.set(error, error.stack!); return freeze ? Object.freeze(error) : error; };
      window.onerror = (message, source, line, column, error) => { say('onerror', message, typeof source, typeof line, error); return String(message).includes('quiet'); };
      window.onunhandledrejection = (event) => { say('onunhandledrejection', event.reason, event.cancelable); if (event.reason?.message === 'quiet') event.preventDefault(); };
      addEventListener('error', (event) => say('error', event.defaultPrevented, event.message, event.error));
      const errors = [make('plain'), make('frozen', true), make('quiet')];
      for (const error of errors) { setTimeout(() => { throw error; }); await pause(20); say('after', state(error)); }
      for (const error of errors) { Promise.reject(error); await pause(20); say('after', state(error)); }
      for (const thrown of [null, undefined, 0, '', 'text', 1n, {message: 1}, {}, [], new Date(0), () => {}]) {
        setTimeout(() => { throw thrown; }); await pause(20);
        Promise.reject(thrown); await pause(20);
      }
      await result('reportError', () => reportError(make('reported')));
      const late = Promise.reject(make('late')); await pause(50); late.catch(() => say('late')); await pause(20);
      window.onerror = null;
      setTimeout(() => { throw make('last'); }); await pause(20);
      say('limit', Error.stackTraceLimit, typeof (Error as any).prepareStackTrace);
    `);
  });

  test('hostile values that are thrown, logged or passed in do no harm, and the SDK goes on', async () => {
    const hostile = `
      const cycle: any = {list: []}; cycle.self = cycle; cycle.list.push(cycle);
      const revoked = Proxy.revocable({}, {}); revoked.revoke();
      const revokedError = Proxy.revocable(new Error('x'), {}); revokedError.revoke();
      const trap = () => { throw new Error('trap'); };
      const trapped = new Proxy({}, {get: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap, getPrototypeOf: trap});
      const getters = Object.create(null, Object.fromEntries(['message', 'name', 'stack', 'cause', 'toString', 'toJSON', 'then', 'length', 'errors', 'then'].map((key) => [key, {enumerable: true, get: trap}])));
      const selfCause: any = new Error('self'); selfCause.cause = selfCause;
      const chain = Array.from({length: 300}).reduce((cause: any, _, i) => new Error('link ' + i, {cause}), undefined);
      const aggregate = new AggregateError(Array.from({length: 300}, (_, i) => new Error('part ' + i)), 'many'); aggregate.errors.push(aggregate, null, revoked.proxy);
      const badStack: any = new Error('stack'); badStack.stack = {toString: trap};
      const symbolName: any = new Error('name'); symbolName.name = Symbol('name'); symbolName.message = 10n;
      const deep: any = {}; { let at = deep; for (let i = 0; i < 20000; i++) at = at.next = {}; }
      const wide = Object.fromEntries(Array.from({length: 20000}, (_, i) => ['key' + i, 'x'.repeat(100)]));
      const long = 'ab'.repeat(3e6);
      const values: any[] = [cycle, revoked.proxy, revokedError.proxy, trapped, getters, selfCause, chain, aggregate, badStack, symbolName, deep, wide, long, '\\ud800', '\\0', 1n, Symbol('s'), NaN, -Infinity, new Date(NaN), window, document, document.documentElement, new Map([[{}, 1]]), new WeakMap(), new ArrayBuffer(8), /x/, () => {}, class {}, Object.create(null), Object.freeze(new Error('frozen')), null, undefined, new Array(1e6), new Uint8Array(1e6), Promise.resolve(), {toJSON: trap}, {toJSON: () => cycle}, new Error(long)];`;
    const visit = await same(
      `
      ${hostile}
      for (const [i, value] of values.entries()) {
        for (const level of ['debug', 'log', 'warn', 'error'] as const) await result(level + i, () => { if (typeof value !== 'string' || value.length < 100) console[level]('value', value); });
        setTimeout(() => { throw value; });
        void new Promise((_, reject) => reject(value));
        await pause(5);
      }
      window.dispatchEvent(new ErrorEvent('error', {error: getters, message: 'forged'}));
      window.dispatchEvent(new Event('error'));
      window.dispatchEvent(Object.assign(new Event('unhandledrejection'), {reason: trapped}));
      window.dispatchEvent(new Event('unhandledrejection'));
      await pause(100);
      `,
    );
    const direct = await scene.visit({
      script: `import * as kit from '../../src/index.js'; ${everything()} const pause = () => {}; ${hostile}
        const failed: string[] = [];
        for (const [i, value] of values.entries()) {
          for (const [name, call] of Object.entries({
            captureException: () => captureException(value), hint: () => captureException(new Error('x'), value), data: () => captureException(new Error('y'), {data: value}),
            captureMessage: () => kit.captureMessage(value, value), track: () => track(value, value, value), named: () => track('named', value), addBreadcrumb: () => kit.addBreadcrumb(value),
            breadcrumb: () => kit.addBreadcrumb({message: value, data: value}), setUser: () => kit.setUser(value), userId: () => kit.setUser({id: value}), setTag: () => kit.setTag(value, value), tag: () => kit.setTag('tag', value),
            setContext: () => kit.setContext(value, value), context: () => kit.setContext('context', value),
          })) { try { call(); } catch (error) { failed.push(name + ' ' + i + ' ' + (error as Error)?.message); } }
          kit.setUser(null); kit.setTag('tag', null); kit.setContext('context', null);
        }
        globalThis.failed = failed;
        track('alive');`,
    });
    expect(await direct.page.evaluate(() => (globalThis as any).failed)).toEqual([]);
    expect(direct.problems).toEqual([]);
    expect((await alive(visit)).length).toBeGreaterThan(10);
    await direct.leave();
    const arrived = await scene.events(direct, {count: 30, settle: 1_000});
    expect(arrived.some(({name}) => name === 'alive')).toBe(true);
  });
});

/** Every property of what pages and libraries look at: flags, and name and length of functions. */
const SNAPSHOT = `
  const owners: Record<string, any> = {window, console, history, navigator, document, location, performance, screen, localStorage, crypto};
  for (const name of ['History', 'Navigator', 'Document', 'Element', 'HTMLElement', 'HTMLFormElement', 'Node', 'EventTarget', 'Event', 'XMLHttpRequest', 'XMLHttpRequestEventTarget', 'WebSocket', 'Storage', 'Performance', 'PerformanceObserver', 'Promise', 'Error', 'Object', 'Array', 'Function', 'String', 'JSON', 'Date', 'Math', 'Reflect', 'Response', 'Request', 'Headers', 'ShadowRoot', 'Worker', 'IDBFactory', 'MutationObserver', 'CustomElementRegistry', 'Window']) {
    const owner = (window as any)[name];
    owners[name] = owner;
    if (owner.prototype) owners[name + '.prototype'] = owner.prototype;
  }
  const snapshot = () => Object.fromEntries(Object.entries(owners).map(([name, owner]) => [name, Reflect.ownKeys(owner).map((key) => {
    const {value, get, set, ...flags} = Object.getOwnPropertyDescriptor(owner, key)!;
    return [key, value, get, set, JSON.stringify(flags), typeof value === 'function' ? value.name + '/' + value.length + '/' + Object.getOwnPropertyNames(value) : typeof value];
  })]));
  const text = (taken: any) => Object.entries(taken).flatMap(([name, list]: any) => list.filter(([key]: any) => !/^(notes|played|ready|snapshot|compare|listened|taken)$/.test(String(key)) && !(name === 'localStorage')).map(([key, , , , flags, kind]: any) => name + '.' + String(key) + ' ' + flags + ' ' + kind));`;

describe('the globals', () => {
  test('have the same keys in the same order, the same flags, names and lengths', async () => {
    await same(`${SNAPSHOT} await pause(100);
      for (const line of text(snapshot())) say(line);
      const inherited: string[] = []; for (const key in history) inherited.push(key); for (const key in console) inherited.push(key); for (const key in new XMLHttpRequest()) inherited.push(key);
      say('for in', inherited);
      say('json', JSON.stringify([history, console]));
      say('html', document.documentElement.outerHTML.replace(/visit-\\d+/g, ''), document.cookie);
    `);
  });

  test('look like the originals where they are replaced: name, length, no constructor', async () => {
    await same(`
      for (const [owner, names] of [[window, ['fetch']], [XMLHttpRequest.prototype, ['open', 'send']], [history, ['pushState', 'replaceState']], [console, ['debug', 'log', 'info', 'warn', 'error']]] as [any, string[]][]) {
        for (const name of names) {
          say(name, owner[name], 'prototype' in owner[name], Object.getOwnPropertyNames(owner[name]));
          await result('new ' + name, () => new owner[name]());
        }
      }
      say('own keys', Object.getOwnPropertyNames(history), Object.keys(history));
    `);
  });

  test('are the very same after close, also when it was started twice', async () => {
    const visit = await scene.visit({
      head: '<script src="/snapshot.js"></script>',
      script: `${everything()} globalThis.client = client; globalThis.start = start;`,
      prepare: async () => {
        scene.routes['/snapshot.js'] = {
          body: (await scene.bundle(`${SNAPSHOT} Object.assign(globalThis, {taken: 0, compare: 0, client: 0, start: 0});
            globalThis.taken = snapshot();
            globalThis.compare = () => {
              const now: any = snapshot();
              const changed: string[] = [];
              for (const [name, list] of Object.entries(globalThis.taken as any)) {
                if (name === 'localStorage') continue;
                const after = now[name];
                if (after.length !== (list as any).length) changed.push(name + ' has other keys: ' + after.map(([key]: any) => String(key)).filter((key: string) => !(list as any).some(([other]: any) => String(other) === key)));
                (list as any).forEach(([key, ...parts]: any, i: number) => {
                  if (name === 'window' && ['taken', 'compare', 'client', 'start', 'event'].includes(key)) return;
                  const found = after.find(([other]: any) => other === key);
                  if (!found || parts.some((part: any, j: number) => !Object.is(part, found[j + 1]))) changed.push(name + '.' + String(key));
                  else if (after[i]?.[0] !== key) changed.push(name + '.' + String(key) + ' moved');
                });
              }
              return changed;
            };`, 'none')),
        };
      },
    });
    const changed = await visit.page.evaluate(async () => {
      const {compare, client, start} = globalThis as any;
      const running = compare();
      await client.close();
      const closed = compare();
      const second = start();
      const third = start();
      await third.close();
      await second.close();
      return {running, closed, again: compare()};
    });
    expect(changed.running).toContain('window.fetch');
    expect(changed.running).toContain('XMLHttpRequest.prototype.open');
    expect([changed.closed, changed.again]).toEqual([[], []]);
    const sent = scene.sent(visit).length;
    await visit.page.evaluate(async () => {
      await fetch('/ok.json');
      console.error('closed');
      history.pushState(null, '', '/closed');
      document.body.click();
      setTimeout(() => { throw new Error('closed'); });
    });
    await visit.page.waitForTimeout(200);
    await visit.leave();
    const events = await scene.events(visit, {count: 1});
    expect(events.filter((event) => /closed/.test(JSON.stringify([event.message, event.name, event.url, event.data])))).toEqual([]);
    expect(scene.sent(visit).length).toBe(sent);
  });
});

describe('a strict policy', () => {
  test('is not violated, also not where trusted types are required and none may be made', async () => {
    const receiver = new URL(scene.dsn.replace('demo-key@', '')).origin;
    const policy = `default-src 'none'; script-src 'self'; connect-src ${receiver}; img-src data:; require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; form-action 'none'`;
    const visit = await scene.visit({
      headers: {'content-security-policy': policy, 'permissions-policy': 'unload=(), sync-xhr=()', 'document-policy': 'js-profiling', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp', 'referrer-policy': 'no-referrer'},
      body: '<button id="b">b</button><form id="f"><input name="q"><button>go</button></form>',
      script: `
        globalThis.violations = [];
        addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(event.effectiveDirective + ' ' + event.blockedURI));
        ${everything()}
        captureException(new Error('strict'));`,
    });
    await visit.page.click('#b');
    await visit.page.evaluate(() => history.pushState(null, '', '/strict'));
    await visit.page.waitForTimeout(500);
    expect(await visit.page.evaluate(() => (globalThis as any).violations)).toEqual([]);
    expect([visit.problems, visit.console]).toEqual([[], []]);
    const events = await alive(visit);
    expect(of(events, 'error').length).toBe(1);
    expect(of(events, 'click').length).toBe(1);
    expect(of(events, 'page_view').length).toBe(2);
    expect(of(events, 'csp')).toEqual([]);
  });

  test('that forbids to send is violated without a loop, and without an exception', async () => {
    const visit = await scene.visit({
      headers: {'content-security-policy': "default-src 'none'; script-src 'self'; img-src data:"},
      script: `
        globalThis.violations = 0;
        addEventListener('securitypolicyviolation', () => globalThis.violations++);
        ${everything()}
        captureException(new Error('strict'));`,
    });
    await visit.page.waitForTimeout(8_000);
    expect(await visit.page.evaluate(() => (globalThis as any).violations)).toBeLessThan(8);
    expect(visit.problems).toEqual([]);
    await visit.leave();
  });
});

describe('a hostile page', () => {
  /** Does a little of everything; what arrives is counted. */
  const USE = `
    const use = async () => {
      console.error('logged');
      await result('fetch', () => fetch('/ok.json'));
      await new Promise<void>((resolve) => { const xhr = new XMLHttpRequest(); xhr.onloadend = () => { say('xhr', xhr.status); resolve(); }; xhr.open('GET', '/ok.json'); xhr.send(); });
      await result('push', () => history.pushState({a: 1}, '', '/harm/pushed'));
      setTimeout(() => { throw new RangeError('thrown'); });
      void new Promise((_, reject) => reject(new TypeError('rejected')));
      document.getElementById('b')!.click();
      await pause(150);
    };
    await new Promise((resolve) => addEventListener('load', resolve));
    await use();`;

  const cases: Record<string, {before?: string; after?: string; lost?: string[]}> = {
    'freezes the prototypes': {
      before: `for (const proto of [Object, Array, Function, Error, Promise, Map, Set, String, Event, RegExp]) { Object.freeze(proto.prototype); Object.freeze(proto); }`,
    },
    'freezes what is patched': {
      before: `for (const owner of [console, history, History.prototype, XMLHttpRequest.prototype, Element.prototype, EventTarget.prototype, Node.prototype, document]) Object.freeze(owner);
        Object.defineProperty(window, 'fetch', {value: window.fetch, writable: false, configurable: false});`,
      lost: ['request', 'page_view'],
    },
    'makes what is patched read-only with getters': {
      before: `for (const [owner, name] of [[window, 'fetch'], [history, 'pushState'], [console, 'error'], [XMLHttpRequest.prototype, 'open']]) { const value = owner[name]; Object.defineProperty(owner, name, {get: () => value, configurable: true}); }`,
      lost: ['request', 'page_view'],
    },
    'adds to the prototypes': {
      before: `Object.prototype.extra = function () { return 1; }; Object.prototype.extraText = 'x'; Array.prototype.last = function () { return this[this.length - 1]; }; String.prototype.extra = 1; Function.prototype.extra = 1;`,
    },
    'has the toJSON of Prototype.js': {
      before: `Array.prototype.toJSON = function () { return '[' + this.join() + ']'; }; String.prototype.toJSON = function () { return '"' + this + '"'; }; Number.prototype.toJSON = function () { return String(this); }; Date.prototype.toJSON = function () { return 'date'; };`,
    },
    'breaks JSON before': {before: `JSON.stringify = () => { throw new Error('broken JSON'); }; JSON.parse = () => { throw new Error('broken JSON'); };`, lost: ['*']},
    'breaks JSON after': {after: `JSON.stringify = () => { throw new Error('broken JSON'); }; JSON.parse = () => { throw new Error('broken JSON'); };`, lost: ['*']},
    'mocks the clocks before': {before: `Date.now = () => 0; performance.now = () => 0;`},
    'mocks the clocks after': {after: `const fixed = Date.now(); globalThis.Date = class extends Date { constructor() { super(fixed); } static now() { return fixed; } } as any; performance.now = () => 0;`},
    'replaces Promise': {
      before: `const Native = Promise; window.Promise = class Mine extends Native {}; window.Promise.prototype.then = function (a, b) { return Native.prototype.then.call(this, a, b); };`,
    },
    'has zone-like timers, listeners and promises': {
      before: `
        const zone = {current: 'page'};
        for (const name of ['setTimeout', 'setInterval', 'requestAnimationFrame', 'queueMicrotask', 'requestIdleCallback']) { const original = window[name]; window[name] = function (callback, ...rest) { const at = zone.current; return original.call(this, (...args) => { zone.current = at; return callback.apply(this, args); }, ...rest); }; }
        const add = EventTarget.prototype.addEventListener, remove = EventTarget.prototype.removeEventListener, wrapped = new WeakMap();
        EventTarget.prototype.addEventListener = function (type, listener, options) { if (!listener) return add.call(this, type, listener, options); const wrap = wrapped.get(listener) ?? function (event) { return listener.handleEvent ? listener.handleEvent(event) : listener.call(this, event); }; wrapped.set(listener, wrap); return add.call(this, type, wrap, options); };
        EventTarget.prototype.removeEventListener = function (type, listener, options) { return remove.call(this, type, wrapped.get(listener) ?? listener, options); };
        const then = Promise.prototype.then;
        Promise.prototype.then = function (a, b) { return then.call(this, a && ((value) => a(value)), b && ((error) => b(error))); };
        const send = XMLHttpRequest.prototype.send; XMLHttpRequest.prototype.send = function (...args) { this.__zone = zone.current; return send.apply(this, args); };
        const native = window.fetch; window.fetch = function (...args) { return native.apply(this, args).then((response) => response); };`,
    },
    'has timers that never fire': {after: `const timeout = globalThis.setTimeout; globalThis.setTimeout = ((callback: any, ms: number) => (ms > 900 ? 0 : timeout(callback, ms))) as any; globalThis.setInterval = (() => 0) as any; globalThis.requestIdleCallback = () => 0; globalThis.requestAnimationFrame = () => 0;`},
    'replaces collections and array methods': {
      before: `const from = Array.from; Array.from = (list, map, that) => from(list, map, that).filter(() => true); const map = Array.prototype.map; Array.prototype.map = function (callback, that) { return map.call(this, callback, that); }; Function.prototype.bind = function (that, ...args) { const self = this; return function (...more) { return self.apply(that, [...args, ...more]); }; }; Element.prototype.closest = function () { return null; }; Element.prototype.matches = () => false;`,
    },
    'has no storage': {
      before: `for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'caches']) Object.defineProperty(window, name, {get() { throw new DOMException('denied', 'SecurityError'); }, configurable: true}); Object.defineProperty(document, 'cookie', {get() { throw new DOMException('denied', 'SecurityError'); }, configurable: true});`,
    },
    'has full and failing storage': {
      before: `Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; Storage.prototype.getItem = () => '{"broken'; IDBFactory.prototype.open = () => { throw new DOMException('no', 'InvalidStateError'); };`,
    },
    'has a database that neither opens nor fails': {before: `IDBFactory.prototype.open = () => ({});`},
    'lacks what is newer or rarer': {
      before: `for (const name of ['PerformanceObserver', 'ReportingObserver', 'IntersectionObserver', 'MutationObserver', 'indexedDB', 'requestIdleCallback', 'scheduler', 'BroadcastChannel', 'CompressionStream', 'AbortController', 'queueMicrotask', 'structuredClone', 'navigation', 'PerformanceEventTiming', 'WeakRef', 'AggregateError']) { try { delete window[name]; Object.defineProperty(window, name, {value: undefined, configurable: true, writable: true}); } catch {} }
        for (const name of ['sendBeacon', 'locks', 'connection', 'userAgentData', 'storage', 'deviceMemory']) { delete Navigator.prototype[name]; } delete navigator.__proto__.language;`,
    },
    'has a beacon and performance entries that throw': {
      before: `Navigator.prototype.sendBeacon = () => { throw new Error('beacon'); }; Performance.prototype.getEntriesByType = () => { throw new Error('entries'); }; PerformanceObserver.prototype.observe = () => { throw new TypeError('observe'); };`,
    },
  };

  for (const [name, {before = '', after = '', lost = []}] of Object.entries(cases)) {
    test(name, async () => {
      const visit = await same(`${after};\n${USE}`, {before, body: '<button id="b">b</button>', path: `/harm-${name.replace(/\W+/g, '-')}`});
      expect(visit.console.filter((line) => /monitor-kit/.test(line))).toEqual([]);
      await visit.leave();
      if (lost.includes('*')) return;
      const events = await scene.events(visit, {count: 7, timeout: 8_000, settle: 700});
      const wanted = {error: 2, click: 1, page_view: 2, request: 2};
      const got = Object.fromEntries(Object.keys(wanted).map((kind) => [kind, of(events, kind).length]));
      expect(got).toMatchObject(Object.fromEntries(Object.entries(wanted).filter(([kind]) => !lost.includes(kind))));
    });
  }

  test('names its images after the properties of the document', async () => {
    const names = ['referrer', 'title', 'cookie', 'visibilityState', 'hidden', 'prerendering', 'readyState', 'documentElement', 'body', 'querySelector', 'elementFromPoint', 'elementsFromPoint', 'createElement', 'getElementById', 'currentScript', 'location2', 'URL', 'wasDiscarded', 'scripts'];
    const visit = await scene.visit({
      head: names.map((name) => `<img name="${name}" alt="">`).join(''),
      body: '<button id="b">b</button>',
      script: `${everything()} track('clobbered');`,
    });
    await visit.page.click('#b');
    expect([visit.problems, visit.console]).toEqual([[], []]);
    const events = await alive(visit);
    expect(events.some(({name}) => name === 'clobbered')).toBe(true);
    expect(of(events, 'click').length).toBe(1);
  });
});

describe('without storage', () => {
  test('a sandboxed frame works the same, and reports', async () => {
    const release = `sandboxed-${Date.now()}`;
    scene.routes['/framed.js'] = {body: await scene.bundle(`${everything()} ${NOTES}
      addEventListener('error', (event) => parent.postMessage('error ' + event.message, '*'));
      (async () => {
        await result('fetch', () => fetch(ORIGIN + '/open.json'));
        await result('storage', () => localStorage.length);
        captureException(new Error('framed'));
        parent.postMessage(JSON.stringify(notes), '*');
      })();`, release)};
    scene.routes['/framed'] = '<!doctype html><script src="/framed.js"></script><p>framed';
    const visit = await scene.visit({
      script: `globalThis.told = []; addEventListener('message', (event) => globalThis.told.push(event.data));`,
      body: '<iframe sandbox="allow-scripts" src="/framed"></iframe>',
    });
    await visit.page.waitForTimeout(500);
    const told: string[] = await visit.page.evaluate(() => (globalThis as any).told);
    expect(told.map((text) => JSON.parse(text))).toMatchObject([[['fetch', true], ['fetch', 'resolved', ['response', 200, 'cors', '/open.json', false]], ['storage', 'at once', expect.stringContaining('SecurityError')]]]);
    expect([visit.problems, visit.console]).toEqual([[], []]);
    await visit.leave();
    const events = await scene.events({release}, {count: 1});
    expect(of(events, 'error').map(({message}) => message)).toEqual(['framed']);
  });
});

test('where storage is denied, a consent that is required and cannot be read is no consent', async () => {
  const visit = await scene.visit({
    script: `
      Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }});
      import {init, track, consent} from '../../src/index.js';
      init({dsn: MONITOR_DSN, release: RELEASE, integrations: (defaults) => [consent({required: true}), ...defaults]});
      track('not allowed');`,
  });
  await visit.page.click('h1');
  await visit.leave();
  expect(await scene.events(visit, {count: 1, timeout: 2_500})).toEqual([]);
  expect([visit.problems, visit.console]).toEqual([[], []]);
});

describe('a receiver that fails', () => {
  // How to fail, and how many sends are fine in the first two seconds; what is too large is split down to its 50 events.
  const faults: Record<string, {fail: () => void; sends?: number}> = {
    'answers 500': {fail: () => scene.faults.answer(500)},
    'answers 503 at once and for ever': {fail: () => scene.faults.answer(503, {headers: {'retry-after': '1'}})},
    'answers 401': {fail: () => scene.faults.answer(401)},
    'answers 413': {fail: () => scene.faults.answer(413), sends: 150},
    'answers 429 with nonsense': {fail: () => scene.faults.answer(429, {headers: {'retry-after': 'tomorrow'}, body: 'nonsense'})},
    'answers 202 with nonsense': {fail: () => scene.faults.answer(202, {body: {accepted: 'many', rejected: [null, {index: 'x'}, 5]}})},
    'redirects': {fail: () => scene.faults.answer(302, {headers: {location: '/elsewhere'}})},
    'resets connections': {fail: () => scene.faults.reset()},
    'never answers': {fail: () => scene.faults.hang()},
  };
  for (const [name, {fail, sends = 12}] of Object.entries(faults)) {
    test(`and ${name} is not noticed by the page`, async () => {
      fail();
      const visit = await scene.visit({
        script: `
          globalThis.seen = [];
          addEventListener('unhandledrejection', (event) => globalThis.seen.push('rejection ' + event.reason));
          addEventListener('error', (event) => globalThis.seen.push('error ' + event.message), true);
          ${everything()}
          captureException(new Error('unlucky'));
          for (let i = 0; i < 50; i++) track('step', {i, padding: 'x'.repeat(2000)});`,
      });
      const ok = await visit.page.evaluate(async () => {
        await (globalThis as any).none;
        const response = await fetch('/ok.json');
        document.body.click();
        return response.json();
      });
      await visit.page.waitForTimeout(1_500);
      expect(ok).toEqual({a: 1});
      expect(await visit.page.evaluate(() => (globalThis as any).seen)).toEqual([]);
      expect(visit.problems).toEqual([]);
      expect(visit.console.filter((line) => !/^error: (Failed to load resource|Access to fetch at)/.test(line))).toEqual([]);
      // Bounded: a broken receiver is not asked all the time.
      expect(scene.sent(visit).length).toBeLessThan(sends);
      await visit.page.close();
    });
  }
});

describe('not alone on the page', () => {
  const act = async ({page}: Visit): Promise<void> => {
    await page.click('#b');
    await page.evaluate(async () => {
      await fetch('/ok.json');
      await new Promise((resolve) => {
        const xhr = new XMLHttpRequest();
        xhr.onloadend = resolve;
        xhr.open('GET', '/ok.json');
        xhr.send();
      });
      history.pushState(null, '', '/together');
      console.warn('warned');
      setTimeout(() => {
        throw new RangeError('both see it');
      });
    });
    await page.waitForTimeout(100);
  };
  const counts = (events: StoredEvent[]): Record<string, number> =>
    Object.fromEntries(['click', 'request', 'page_view', 'error'].map((kind) => [kind, of(events, kind).length]));
  const once = {click: 1, request: 2, page_view: 2, error: 1};

  test('two copies of the SDK each report everything once, and can be closed in any order', async () => {
    const second = `second-${Date.now()}`;
    scene.routes['/second.js'] = {body: await scene.bundle(`${everything()} globalThis.second = client;`, second)};
    const visit = await scene.visit({
      script: `${everything()} globalThis.first = client;`,
      body: '<button id="b">b</button><script src="/second.js"></script>',
    });
    await act(visit);
    await visit.page.waitForTimeout(6_000);
    await visit.page.evaluate(async () => {
      await (globalThis as any).first.close();
      await (globalThis as any).second.close();
      const response = await fetch('/ok.json');
      console.warn('still says it');
      history.pushState({still: 1}, '', '/still');
      (globalThis as any).still = [response.status, history.state, location.pathname];
    });
    expect(await visit.page.evaluate(() => (globalThis as any).still)).toEqual([200, {still: 1}, '/still']);
    expect(visit.problems).toEqual(['RangeError: both see it']);
    expect(visit.console).toEqual(['warning: warned', 'warning: still says it']);
    await visit.leave();
    expect(counts(await scene.events(visit, {count: 6}))).toEqual(once);
    expect(counts(await scene.events({release: second}, {count: 6, settle: 0}))).toEqual(once);
    // Neither goes on for ever about what the other sends.
    expect(scene.sent(visit).length + scene.sent({release: second}).length).toBeLessThan(12);
  });

  const wrapper = (name: string): string => `
    globalThis.${name} = (() => {
      const calls = [];
      const undo = [];
      const wrap = (owner, method) => {
        const original = owner[method];
        const mine = function () { calls.push(method); return original.apply(this, arguments); };
        owner[method] = mine;
        undo.push(() => { owner[method] = original; });
      };
      wrap(window, 'fetch'); wrap(XMLHttpRequest.prototype, 'open'); wrap(XMLHttpRequest.prototype, 'send');
      wrap(history, 'pushState'); wrap(console, 'warn');
      return {calls, undo: () => undo.forEach((stop) => stop())};
    })();`;

  for (const [order, earlier, later] of [['before', wrapper('other'), ''], ['after', '', wrapper('other')]] as const) {
    test(`a library that wrapped everything ${order} us goes on working, whoever leaves first`, async () => {
      scene.routes['/earlier.js'] = {body: earlier};
      scene.routes['/later.js'] = {body: later};
      for (const first of ['client', 'other']) {
        const visit = await scene.visit({
          head: '<script src="/earlier.js"></script>',
          script: `${everything()} globalThis.client = client;`,
          body: '<button id="b">b</button><script src="/later.js"></script>',
        });
        await act(visit);
        const left = await visit.page.evaluate(async (first) => {
          const {client, other} = globalThis as any;
          const before = other.calls.filter((call: string) => call !== 'fetch').length;
          const fetches = other.calls.filter((call: string) => call === 'fetch').length;
          const leave: Record<string, () => unknown> = {client: () => client.close(), other: () => other.undo()};
          await leave[first]!();
          const status = [(await fetch('/ok.json')).status];
          await leave[first === 'client' ? 'other' : 'client']!();
          status.push((await fetch('/ok.json')).status);
          console.warn('at last');
          history.pushState({last: 1}, '', '/last');
          return {status, before, fetches, state: history.state};
        }, first);
        expect(left).toMatchObject({status: [200, 200], before: 4, state: {last: 1}});
        expect(left.fetches).toBeGreaterThanOrEqual(1);
        expect(visit.problems).toEqual(['RangeError: both see it']);
        expect(visit.console).toEqual(['warning: warned', 'warning: at last']);
        await visit.leave();
        const events = await scene.events(visit, {count: 6});
        // One that came before us takes us with it when it leaves; without one that came after us we still see the third request.
        expect(of(events, 'error').length).toBe(1);
        expect(of(events, 'click').length).toBe(1);
        expect(of(events, 'page_view').length).toBe(2);
        expect(of(events, 'request').length).toBe(order === 'after' && first === 'other' ? 3 : 2);
      }
    });
  }
});
