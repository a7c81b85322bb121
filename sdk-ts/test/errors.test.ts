import {afterEach, describe, expect, test, vi} from 'vitest';
import {captureException} from '../src/api.js';
import {describeError} from '../src/describeError.js';
import {blankScreen} from '../src/integrations/blankScreen.js';
import {consoleCapture} from '../src/integrations/consoleCapture.js';
import {errors} from '../src/integrations/errors.js';
import {filters} from '../src/integrations/filters.js';
import {reports} from '../src/integrations/reports.js';
import {resourceErrors} from '../src/integrations/resourceErrors.js';
import type {Integration} from '../src/types.js';
import {hide, scene, tearDown, type Scene} from './scene.js';

afterEach(tearDown);

const raise = (init: ErrorEventInit): boolean => window.dispatchEvent(new ErrorEvent('error', init));
const reject = (reason: unknown): boolean => window.dispatchEvent(Object.assign(new Event('unhandledrejection'), {reason}));
const discarded = ({envelopes}: Scene) => envelopes().flatMap((envelope) => envelope.discarded ?? []);
/** How many events of a kind the stored ones stand for. */
const total = (set: Scene, kind = 'error'): number => set.events().reduce((sum, event) => sum + (event.kind === kind ? (event.weight ?? 1) : 0), 0);

const throwing = (property: string): object =>
  Object.defineProperty(new Error('readable'), property, {
    get() {
      throw new Error('no');
    },
  });
function revoked(): object {
  const {proxy, revoke} = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
const hostile = new Proxy(
  {},
  {
    get() {
      throw new Error('no');
    },
  },
);
const circle: Record<string, unknown> = {};
circle['self'] = circle;

describe('describeError', () => {
  test.each<[string, unknown, {name: string; message: string}]>([
    ['an error', new TypeError('x'), {name: 'TypeError', message: 'x'}],
    ['what looks like an error', {name: 'Custom', message: 'duck'}, {name: 'Custom', message: 'duck'}],
    ['an error without a name', {name: '', message: 'nameless'}, {name: 'Fallback', message: 'nameless'}],
    ['a DOMException', new DOMException('gone', 'NotFoundError'), {name: 'NotFoundError', message: 'gone'}],
    ['a text', 'text', {name: 'Fallback', message: 'text'}],
    ['an empty text', '', {name: 'Fallback', message: ''}],
    ['a number', 404, {name: 'Fallback', message: '404'}],
    ['not a number', NaN, {name: 'Fallback', message: 'NaN'}],
    ['a bigint', 10n, {name: 'Fallback', message: '10'}],
    ['false', false, {name: 'Fallback', message: 'false'}],
    ['undefined', undefined, {name: 'Fallback', message: 'undefined'}],
    ['null', null, {name: 'Fallback', message: 'null'}],
    ['an object', {code: 7}, {name: 'Fallback', message: '{"code":7}'}],
    ['an object whose message is none', {message: {code: 7}}, {name: 'Fallback', message: '{"message":{"code":7}}'}],
    ['an object with a bigint', {id: 1n}, {name: 'Fallback', message: '{"id":"1"}'}],
    ['a circle', circle, {name: 'Fallback', message: '{"self":"[circular]"}'}],
    ['a symbol', Symbol('s'), {name: 'Fallback', message: 'Symbol(s)'}],
    ['an event', new Event('error'), {name: 'Fallback', message: 'Event: error'}],
    ['a frozen error', Object.freeze(new RangeError('frozen')), {name: 'RangeError', message: 'frozen'}],
    ['an error of another frame', Object.assign(Object.create(null), {name: 'EvalError', message: 'm'}), {name: 'EvalError', message: 'm'}],
    ['a proxy that refuses', hostile, {name: 'Fallback', message: '[unreadable]'}],
    ['a proxy that was revoked', revoked(), {name: 'Fallback', message: '[unreadable]'}],
    ...['stack', 'cause', 'errors'].map((key): [string, unknown, {name: string; message: string}] => [`an error whose ${key} throws`, throwing(key), {name: 'Error', message: 'readable'}]),
    ['a message that throws', throwing('message'), {name: 'Error', message: '[unreadable]'}],
    ['a name that throws', throwing('name'), {name: 'Fallback', message: 'readable'}],
    ['an error without a message', new TypeError(), {name: 'TypeError', message: ''}],
    ['a named object', {name: 'HttpError', status: 500}, {name: 'HttpError', message: '{"name":"HttpError","status":500}'}],
    ['a name that cannot be a text', {name: Object.create(null), message: 'readable'}, {name: 'Fallback', message: 'readable'}],
    ['a stack that cannot be a text', {name: 'E', message: 'readable', stack: Object.create(null)}, {name: 'E', message: 'readable'}],
    ['a cause that cannot be read', {name: 'E', message: 'readable', cause: revoked()}, {name: 'E', message: 'readable'}],
    ['inner errors that are no list', {name: 'E', message: 'readable', errors: {length: 1}}, {name: 'E', message: 'readable'}],
  ])('%s', (_, thrown, expected) => {
    expect(describeError(thrown, 'Fallback')).toMatchObject(expected);
  });

  test('a member that cannot be read takes no other one along', () => {
    const error = (key: string): object => Object.assign(throwing(key), {errors: [new TypeError('inner')]});
    expect(describeError(error('cause'))).toMatchObject({message: 'readable', stack: expect.stringContaining('readable'), errors: [{name: 'TypeError'}]});
    expect(describeError(Object.assign(error('stack'), {cause: 'why'}))).toMatchObject({message: 'readable', causes: [{message: 'why'}], errors: [{name: 'TypeError'}]});
    expect(describeError({message: 'm', stack: Object.create(null), cause: 'why', errors: 'no list'})).toMatchObject({message: 'm', causes: [{message: 'why'}]});
  });

  // As the browsers wrote them, byte for byte: the receiver reads the frames.
  test.each([
    ['V8', 'TypeError: cart.add is not a function\n    at checkout (https://shop.example/app.js:10:22)\n    at async HTMLButtonElement.<anonymous> (https://shop.example/app.js:3:1)'],
    ['Firefox', 'checkout@https://shop.example/app.js:10:22\nasync*load/inner<@https://shop.example/app.js:5:6\n@https://shop.example/app.js:3:1\n'],
    ['Safari', 'checkout@https://shop.example/app.js:10:22\n@https://shop.example/app.js:3:1\nglobal code@https://shop.example/app.js:40:9\nhttps://shop.example/app.js:9:8'],
  ])('the stack of %s is passed on as it is', (_, stack) => {
    expect(describeError({name: 'TypeError', message: 'x', stack}).stack).toBe(stack);
  });

  test('secrets in addresses are scrubbed: in message, stack, causes and inner errors', () => {
    const leak = (): Error => {
      const error = new Error('GET https://api.example/?token=hunter2 failed');
      error.stack = 'f@https://api.example/?token=hunter2:1:2';
      return error;
    };
    const error = Object.assign(leak(), {cause: leak(), errors: [leak(), 'https://api.example/?token=hunter2']});
    const description = describeError(error);
    expect(description).toMatchObject({causes: [{name: 'Error'}], errors: [{name: 'Error'}, {name: 'Error'}]});
    expect(JSON.stringify(description)).not.toContain('hunter2');
    expect(description.stack).toBe('f@https://api.example/?token=[scrubbed]:1:2');
  });

  test('causes are listed from the outermost on, five of them', () => {
    let error: Error = new Error('0');
    for (let i = 1; i <= 9; i++) error = new TypeError(String(i), {cause: error});
    const {message, causes} = describeError(error);
    expect(message).toBe('9');
    expect(causes!.map((cause) => cause.message)).toEqual(['8', '7', '6', '5', '4']);
    expect(causes!.every((cause) => cause.stack && !cause.causes)).toBe(true);
  });

  test('a cause can be anything, and its own cause ends it', () => {
    const error: Error & {cause?: unknown} = new Error('mine');
    error.cause = error;
    expect(describeError(error).causes).toHaveLength(5);
    expect(describeError(new Error('x', {cause: 'a text'}))).toMatchObject({causes: [{name: 'Error', message: 'a text'}]});
  });

  test('of an AggregateError ten errors are listed, without what they hold themselves', () => {
    const inner = Array.from({length: 15}, (_, i) => new RangeError(String(i), {cause: new Error('inner cause')}));
    const error: AggregateError = new AggregateError([...inner], 'all failed');
    error.errors[3] = error;
    const description = describeError(error);
    expect(description).toMatchObject({name: 'AggregateError', message: 'all failed'});
    expect(description.errors!.map(({message}) => message)).toEqual(['0', '1', '2', 'all failed', '4', '5', '6', '7', '8', '9']);
    expect(JSON.stringify(description)).not.toContain('inner cause');
  });

  test('however large its parts are, an error stays small enough to be sent', async () => {
    const huge = (): Error => Object.assign(new Error('x'.repeat(100_000)), {stack: `Error\n${'    at f (https://shop.example/a.js:1:1)\n'.repeat(10_000)}`});
    const set = scene();
    set.client.captureException(Object.assign(new AggregateError(Array.from({length: 10}, () => new Error('small')), 'y'.repeat(100_000)), {cause: huge()}));
    await set.flush();
    expect(set.events()).toMatchObject([{name: 'AggregateError', data: {causes: [{name: 'Error'}]}}]);
  });
});

describe('errors', () => {
  test('an uncaught error has place, stack, causes and mechanism', async () => {
    const {events, flush} = scene({}, [errors()]);
    const error = new TypeError('x', {cause: new RangeError('too far')});
    raise({error, message: 'Uncaught TypeError: x', filename: 'https://cdn/a.js?token=t', lineno: 3, colno: 7});
    await flush();
    expect(events()).toMatchObject([
      {
        kind: 'error',
        name: 'TypeError',
        data: {
          message: 'x',
          stack: error.stack,
          causes: [{name: 'RangeError', message: 'too far', stack: expect.any(String)}],
          source: 'https://cdn/a.js?token=[scrubbed]',
          line: 3,
          column: 7,
          mechanism: 'onerror',
          handled: false,
        },
      },
    ]);
  });

  test.each<[string, ErrorEventInit, string, string]>([
    ['a script of another origin', {message: 'Script error.'}, 'Error', 'Script error.'],
    ['an error of its own with the same message', {message: 'Uncaught Error: Script error.', error: new Error('Script error.')}, 'Error', 'Script error.'],
    ['a thrown text', {message: 'Uncaught oops', error: 'oops'}, 'Error', 'oops'],
    ['a thrown zero', {message: 'Uncaught 0', error: 0}, 'Error', '0'],
    ['a thrown null', {message: 'Uncaught null', error: null}, 'Error', 'Uncaught null'],
    ['a fault of the browser', {message: 'ResizeObserver loop limit exceeded'}, 'Error', 'ResizeObserver loop limit exceeded'],
  ])('%s is kept', async (_, init, name, message) => {
    const {events, flush} = scene({}, [errors()]);
    raise(init);
    await flush();
    expect(events()).toMatchObject([{name, data: {message}}]);
    expect(events()[0]!.data.stack === undefined).toBe(!(init.error instanceof Error));
  });

  test.each<[string, unknown, string, string]>([
    ['an error', new SyntaxError('bad'), 'SyntaxError', 'bad'],
    ['a text', 'text', 'UnhandledRejection', 'text'],
    ['nothing', undefined, 'UnhandledRejection', 'undefined'],
    ['an object', {code: 7}, 'UnhandledRejection', '{"code":7}'],
    ['an event', new Event('error'), 'UnhandledRejection', 'Event: error'],
    ['what cannot be read', hostile, 'UnhandledRejection', '[unreadable]'],
  ])('a rejection with %s is kept', async (_, reason, name, message) => {
    const {events, flush} = scene({}, [errors()]);
    reject(reason);
    await flush();
    expect(events()).toMatchObject([{kind: 'error', name, data: {message, mechanism: 'onunhandledrejection', handled: false}}]);
  });

  test('values that refuse to be read never switch the handlers off', async () => {
    const set = scene({}, [errors()]);
    for (let i = 0; i < 10; i++) {
      raise({error: hostile, message: 'x'});
      reject(revoked());
    }
    reject(new Error('still here'));
    await set.flush();
    expect(set.events().map(({name, data}) => [name, data.message])).toContainEqual(['Error', 'still here']);
    expect(discarded(set)).toEqual([]);
  });

  test('an error that was reported and then thrown on is reported once', async () => {
    const {events, flush} = scene({}, [errors()]);
    const error = new Error('once');
    captureException(error);
    raise({error, message: 'Uncaught Error: once'});
    reject(error);
    hide();
    await flush();
    expect(events()).toMatchObject([{data: {mechanism: 'manual'}}]);
    expect(events()[0]!.weight).toBeUndefined();
  });

  test.each<[string, (set: Scene) => unknown]>([
    ['the page is hidden', () => hide()],
    ['another page view begins', ({client}) => client.startPage('')],
    ['a minute has gone by', () => vi.advanceTimersByTimeAsync(60_000)],
    ['the client is closed', ({client}) => void client.close(0)],
  ])('a fault in a loop is one event at once, and one with the weight of its repeats when %s', async (_, then) => {
    const set = scene({}, [errors()]);
    const pageId = set.client.page.id;
    const error = new Error('loop');
    for (let i = 0; i < 250; i++) raise({error, message: 'x'});
    raise({error: new Error('another'), message: 'x'});
    await set.flush();
    expect(set.events().map(({data}) => data.message)).toEqual(['loop', 'another']);
    await then(set);
    await set.flush();
    expect(set.events()).toMatchObject([{}, {}, {name: 'Error', weight: 249, data: {message: 'loop', stack: error.stack, mechanism: 'onerror', folded: true}}]);
    expect(set.envelopes().map(({page}) => page.id)).toEqual(set.envelopes().map(() => pageId));
    expect(new Set(set.events().map(({id}) => id)).size).toBe(3);
    expect([total(set), discarded(set)]).toEqual([251, []]);
  });

  test('repeats are dated at the last of them', async () => {
    const set = scene({}, [errors()]);
    const error = new Error('loop');
    const began = Date.now();
    for (let i = 0; i < 4; i++) {
      reject(error);
      await vi.advanceTimersByTimeAsync(5_000);
    }
    await vi.advanceTimersByTimeAsync(60_000);
    await set.flush();
    expect(set.events().map(({time, weight = 1}) => [time - began, weight])).toEqual([[0, 1], [15_000, 3]]);
  });

  test('after a minute the next one is sent at once again, and each is counted once', async () => {
    const set = scene({}, [errors()]);
    const error = new Error('loop');
    for (let minute = 0; minute < 3; minute++) {
      for (let i = 0; i < 4; i++) raise({error, message: 'x'});
      await vi.advanceTimersByTimeAsync(61_000);
    }
    await set.flush();
    expect(set.events().map(({weight}) => weight)).toEqual([undefined, 3, undefined, 3, undefined, 3]);
    expect(total(set)).toBe(12);
  });

  test('a single repeat is one more event without a weight', async () => {
    const set = scene({}, [errors()]);
    const error = new Error('twice');
    reject(error);
    reject(error);
    hide();
    await set.flush();
    expect(set.events().map(({weight = 1}) => weight)).toEqual([1, 1]);
  });

  test('breadcrumbs do not make errors different', async () => {
    const set = scene({}, [errors()]);
    const error = new Error('loop');
    for (let i = 0; i < 9; i++) {
      set.client.addBreadcrumb({message: `step ${i}`});
      reject(error);
    }
    hide();
    await set.flush();
    expect(set.events().map(({weight = 1}) => weight)).toEqual([1, 8]);
    expect(set.events()[0]!.data.breadcrumbs).toMatchObject([{message: 'step 0'}]);
  });

  test('in a sample, one and its repeats stand for as many as the rate says', async () => {
    // The end of the id of the session draws.
    vi.spyOn(crypto, 'getRandomValues').mockImplementation((bytes) => (bytes as Uint8Array).fill(1) as typeof bytes);
    const set = scene({sampleRate: 0.5}, [errors()]);
    const error = new Error('loop');
    for (let i = 0; i < 10; i++) reject(error);
    hide();
    await set.flush();
    expect(set.events().map(({weight}) => weight)).toEqual([2, 18]);
  });

  test('errors that differ in stack or cause are different', async () => {
    const set = scene({}, [errors()]);
    reject({name: 'E', message: 'm', stack: 'a@https://x/a.js:1:1'});
    reject({name: 'E', message: 'm', stack: 'b@https://x/b.js:1:1'});
    reject({name: 'E', message: 'm', stack: 'b@https://x/b.js:1:1', cause: 'c'});
    await set.flush();
    expect(set.events()).toHaveLength(3);
  });

  test('more than a hundred different errors a minute are counted, repeats of the known ones still told', async () => {
    const set = scene({}, [errors()]);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 130; i++) reject(`error ${i}`);
      await set.flush();
    }
    hide();
    await set.flush();
    expect(set.events()).toHaveLength(200);
    expect(discarded(set)).toEqual([
      {reason: 'repeated', kind: 'error', count: 30},
      {reason: 'repeated', kind: 'error', count: 30},
    ]);
  });

  test('what a hook drops has no repeats to tell of', async () => {
    const set = scene({beforeSend: ({kind}) => (kind === 'error' ? null : undefined)}, [errors()]);
    const error = new Error('unwanted');
    for (let i = 0; i < 3; i++) reject(error);
    hide();
    await set.flush();
    expect(set.events()).toEqual([]);
  });

  test('after close nothing is captured', async () => {
    const {client, events} = scene({}, [errors()]);
    const closed = client.close();
    raise({error: new Error('late'), message: 'x'});
    await vi.advanceTimersByTimeAsync(61_000);
    await closed;
    expect(events()).toEqual([]);
  });
});

describe('resource errors', () => {
  const missing = (tag: string, properties: Record<string, unknown>): Element => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) Object.defineProperty(element, name, {value});
    document.body.append(element);
    element.dispatchEvent(new Event('error'));
    return element;
  };

  test('an image that is missing is an error of its address', async () => {
    const {events, flush} = scene({}, [resourceErrors(), errors()]);
    document.body.id = 'app';
    missing('img', {currentSrc: 'https://me:pw@cdn/a.png?signature=abc&w=1'});
    await flush();
    document.body.removeAttribute('id');
    expect(events()).toMatchObject([
      {
        kind: 'error',
        name: 'ResourceError',
        attributes: {target: 'https://cdn/a.png'},
        data: {
          message: '<img> could not be loaded: https://cdn/a.png',
          source: 'https://cdn/a.png?signature=[scrubbed]&w=1',
          mechanism: 'resource',
          handled: false,
          element: 'img',
        },
      },
    ]);
  });

  test('style sheets, media and SVG images too; an inline image is named by its scheme only', async () => {
    const {events, flush} = scene({}, [resourceErrors()]);
    missing('link', {href: 'https://cdn/a.css'});
    missing('video', {currentSrc: 'https://cdn/b.mp4', src: ''});
    missing('source', {src: 'https://cdn/c.ogg'});
    missing('image', {href: {baseVal: 'https://cdn/d.svg'}});
    missing('img', {currentSrc: 'data:image/png;base64,c2VjcmV0'});
    await flush();
    expect(events().map(({attributes}) => attributes!['target'])).toEqual(['https://cdn/a.css', 'https://cdn/b.mp4', 'https://cdn/c.ogg', 'https://cdn/d.svg', 'data:']);
    expect(JSON.stringify(events())).not.toContain('c2VjcmV0');
  });

  test('an element without an address and an error of a script are not for this integration', async () => {
    const {events, flush} = scene({}, [resourceErrors()]);
    missing('img', {currentSrc: '', src: location.href});
    raise({message: 'x'});
    await flush();
    expect(events()).toEqual([]);
  });

  test('an image that fails in a loop is one event and one of its repeats', async () => {
    const set = scene({}, [errors(), resourceErrors()]);
    const image = missing('img', {currentSrc: 'https://cdn/fallback.png'});
    for (let i = 0; i < 40; i++) image.dispatchEvent(new Event('error'));
    hide();
    await set.flush();
    expect(set.events().map(({weight, attributes}) => [weight, attributes!['target']])).toEqual([
      [undefined, 'https://cdn/fallback.png'],
      [40, 'https://cdn/fallback.png'],
    ]);
  });
});

describe('console', () => {
  const original = {log: vi.fn(() => 'logged'), info: vi.fn(), warn: vi.fn(), error: vi.fn(() => 'written'), debug: vi.fn()};
  function page(integrations: Integration[], options: Parameters<typeof scene>[0] = {}): Scene {
    Object.values(original).forEach((method) => method.mockClear());
    for (const [name, method] of Object.entries(original)) vi.spyOn(console, name as 'log').mockImplementation(method as never);
    return scene(options, integrations);
  }

  test('the console gets the same arguments, this and the page the same result', () => {
    const before = {...original};
    page([consoleCapture()]);
    const argument = {a: 1};
    expect(console.error('x', argument)).toBe('written');
    expect(original.error).toHaveBeenCalledWith('x', argument);
    expect(original.error.mock.calls[0]![1 as never]).toBe(argument);
    expect(original.error.mock.contexts[0]).toBe(console);
    expect(before).toEqual(original);
  });

  test('an error is an event with what it says; the rest are breadcrumbs', async () => {
    const {client, events, flush} = page([consoleCapture()]);
    console.log('adding %s', 'book', 7, undefined, {id: 3n});
    console.warn('stock is low');
    console.debug('unseen');
    console.error('checkout failed:', new TypeError('no price'));
    client.captureException(new Error('x'));
    await flush();
    const [first, second] = events();
    expect(first).toMatchObject({
      kind: 'console',
      name: 'error',
      attributes: {level: 'error'},
      data: {message: 'checkout failed: TypeError: no price', args: ['checkout failed:', 'TypeError: no price'], name: 'TypeError', stack: expect.stringContaining('TypeError: no price')},
    });
    expect(second!.data.breadcrumbs.map(({category, level, message}: any) => [category, level, message])).toEqual([
      ['console', 'info', 'adding book 7 undefined {"id":"3"}'],
      ['console', 'warning', 'stock is low'],
      ['console', 'error', 'checkout failed: TypeError: no price'],
    ]);
    expect(events()).toHaveLength(2);
  });

  test.each<[unknown[], string]>([
    [['Hello %s, %d new', 'Bob', 2, 'rest'], 'Hello Bob, 2 new rest'],
    [['%s and %s', 'one'], 'one and %s'],
    [['%o', {a: 1}], '{"a":1}'],
    [[new Error('100%done'), 'x'], 'Error: 100%done x'],
    [['x', '%s', 'y'], 'x %s y'],
    [[], ''],
  ])('%j is told as the console writes it', async (args, message) => {
    const {events, flush} = page([consoleCapture()]);
    console.error(...args);
    await flush();
    expect(events()[0]!.data.message).toBe(message);
  });

  test('of a whole store no more is read than there is room for', async () => {
    const {events, flush} = page([consoleCapture()]);
    let read = 0;
    const store = Array.from({length: 50}, (_, id) => ({id, details: {deep: {deeper: {deepest: 'unseen'}}}, get name() {
      read++;
      return `item ${id}`;
    }}));
    console.error('state', store);
    await flush();
    expect(read).toBeLessThan(30);
    expect(events()[0]!.data.message).toContain('state {"0":{"id":0,"details":{"deep":{"deeper":"[truncated]"}},"name":"item 0"},"1":{"id":1,');
    expect(events()[0]!.data.message).toMatch(/"49":"\[truncated\]"}$/);
  });

  test('other levels on request, and no breadcrumbs', async () => {
    const {client, events, flush} = page([consoleCapture({levels: ['warn', 'debug'], breadcrumbs: []})]);
    console.error('not asked for');
    console.warn('w');
    console.debug('d');
    client.captureException(new Error('x'));
    await flush();
    expect(events().map(({kind, name}) => [kind, name])).toEqual([['console', 'warning'], ['console', 'debug'], ['error', 'Error']]);
    expect(events()[2]!.data.breadcrumbs).toEqual([]);
  });

  test('values that cannot be read, secrets and endless arguments do no harm', async () => {
    const {events, flush} = page([consoleCapture()]);
    for (let i = 0; i < 5; i++) console.error(hostile, revoked(), circle, Symbol('s'), i);
    console.error('https://api.example/?token=hunter2', ...Array.from({length: 10_000}, () => 'y'.repeat(100_000)));
    await flush();
    expect(events()).toHaveLength(6);
    expect(events()[0]!.data.message).toBe('[unreadable] [unreadable] {"self":"[circular]"} Symbol(s) 0');
    expect(events()[5]!.data.args).toHaveLength(10);
    expect(JSON.stringify(events())).not.toContain('hunter2');
  });

  test('what a getter or a hook writes does not loop', async () => {
    const set = page([consoleCapture()], {
      beforeSend(event) {
        console.error('from the hook');
        return event;
      },
    });
    console.error({
      get price() {
        console.error('from the getter');
        return 1;
      },
    });
    await set.flush();
    expect(set.events().map(({data}) => data.message)).toEqual(['{"price":1}']);
    expect(original.error).toHaveBeenCalledTimes(3);
    expect(discarded(set)).toEqual([]);
  });

  test('a message in a loop is one event and one of its repeats', async () => {
    const set = page([consoleCapture()]);
    for (let i = 0; i < 500; i++) console.error('again');
    hide();
    await set.flush();
    expect(set.events().map(({weight}) => weight)).toEqual([undefined, 499]);
    expect(total(set, 'console')).toBe(500);
  });

  test('after close the console is what it was; a wrapper on top of ours keeps working, unseen', async () => {
    const before = (page([consoleCapture()]), console.error);
    const set = scene({}, [consoleCapture()]);
    const ours = console.error;
    expect(ours).not.toBe(before);
    void set.client.close(0);
    expect(console.error).toBe(before);

    const again = scene({}, [consoleCapture()]);
    const wrapped = console.error;
    console.error = (...args: unknown[]) => wrapped(...args);
    void again.client.close(0);
    const read = vi.fn();
    console.error(Object.defineProperty({}, 'x', {get: read, enumerable: true}));
    expect(original.error).toHaveBeenCalledTimes(1);
    await again.flush();
    expect(again.events()).toEqual([]);
  });
});

describe('reports', () => {
  const violate = (init: object): boolean => {
    const event = {effectiveDirective: 'img-src', blockedURI: 'https://evil.example/a.png?token=t', documentURI: 'https://shop.example/?token=t', sourceFile: '', lineNumber: 3, columnNumber: 4, disposition: 'report', sample: '', ...init};
    return document.dispatchEvent(Object.assign(new Event('securitypolicyviolation', {bubbles: true}), event));
  };
  let observed: (reports: object[]) => void;
  let disconnect = vi.fn();

  function page(): Scene {
    disconnect = vi.fn();
    vi.stubGlobal('ReportingObserver', class {
      disconnect = disconnect;
      constructor(callback: (reports: object[]) => void) {
        observed = callback;
      }
      observe(): void {}
    });
    return scene({}, [reports()]);
  }

  test('a violation of the Content Security Policy is told once, its repeats with their number', async () => {
    const set = page();
    for (let i = 0; i < 5; i++) violate({});
    violate({effectiveDirective: 'script-src-elem', blockedURI: 'inline', sourceFile: 'https://shop.example/a.js?key=1', sample: 'alert(1)'});
    hide();
    await set.flush();
    expect(set.events()).toMatchObject([
      {
        kind: 'csp',
        name: 'img-src',
        attributes: {target: 'https://evil.example/a.png'},
        data: {document_url: 'https://shop.example/?token=[scrubbed]', line: 3, column: 4, disposition: 'report'},
      },
      {kind: 'csp', name: 'script-src-elem', attributes: {target: 'inline'}, data: {source: 'https://shop.example/a.js?key=[scrubbed]', sample: 'alert(1)'}},
      {kind: 'csp', name: 'img-src', weight: 4, data: {folded: true}},
    ]);
  });

  test.each(['https://monitor.example/api/shop/events?key=public', 'https://monitor.example'])('that %s is blocked is not told to it', async (blockedURI) => {
    const set = page();
    violate({effectiveDirective: 'connect-src', blockedURI});
    violate({effectiveDirective: 'connect-src', blockedURI: 'https://other.example'});
    violate({effectiveDirective: 'frame-ancestors', blockedURI: ''});
    await set.flush();
    expect(set.events().map(({name, attributes}) => [name, attributes])).toEqual([['connect-src', {target: 'https://other.example/'}], ['frame-ancestors', {}]]);
  });

  test('reports of the browser are events, except violations, which the document tells', async () => {
    const set = page();
    observed([
      {type: 'deprecation', body: {message: 'old', sourceFile: 'https://shop.example/a.js?sid=1', lineNumber: 1, columnNumber: 2}},
      {type: 'csp-violation', body: {}},
      {type: 'intervention', body: {message: 'blocked', sourceFile: null, lineNumber: null, columnNumber: null}},
      {type: 'novelty', body: null},
    ]);
    await set.flush();
    expect(set.events()).toMatchObject([
      {kind: 'report', name: 'deprecation', data: {message: 'old', source: 'https://shop.example/a.js?sid=[scrubbed]', line: 1, column: 2}},
      {kind: 'report', name: 'intervention', data: {message: 'blocked'}},
      {kind: 'report', name: 'novelty'},
    ]);
    void set.client.close(0);
    expect(disconnect).toHaveBeenCalledTimes(1);
  });

  test('a browser without the observer still tells violations', async () => {
    vi.stubGlobal('ReportingObserver', undefined);
    const set = scene({}, [reports()]);
    violate({});
    await set.flush();
    expect(set.events()).toHaveLength(1);
  });
});

describe('blank screen', () => {
  /** happy-dom has no layout: what is in the middle of the viewport is what the test says. */
  function page(html: string, hit: () => Element | null = () => document.body): Scene {
    document.body.innerHTML = html;
    vi.spyOn(document, 'readyState', 'get').mockReturnValue('complete');
    Object.assign(document, {elementFromPoint: hit});
    return scene({}, [blankScreen({root: '#app', after: 1_000})]);
  }
  const blanks = async (set: Scene): Promise<number> => {
    await set.flush();
    return set.events().filter(({kind}) => kind === 'blank_screen').length;
  };

  test('a page that is blank twice is told once', async () => {
    const set = page('<div id="app"></div>', () => document.querySelector('#app'));
    await vi.advanceTimersByTimeAsync(1_500);
    expect(await blanks(set)).toBe(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await blanks(set)).toBe(1);
    expect(set.events()[0]).toMatchObject({name: 'blank_screen', value: expect.any(Number), data: {viewport: `${innerWidth}x${innerHeight}`}});
  });

  test.each<[string, string, () => Element | null]>([
    ['an element in the middle', '<div id="app"><canvas></canvas></div>', () => document.querySelector('canvas')],
    ['a text anywhere', '<div id="app"><p>Hello</p></div>', () => document.body],
  ])('%s is no blank page', async (_, html, hit) => {
    const set = page(html, hit);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await blanks(set)).toBe(0);
  });

  test('a slow page is none', async () => {
    const set = page('<div id="app"></div>');
    await vi.advanceTimersByTimeAsync(1_500);
    document.querySelector('#app')!.innerHTML = '<p>Here it is</p>';
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await blanks(set)).toBe(0);
  });

  test('a page that nobody sees is looked at when it is seen', async () => {
    const set = page('<div id="app"></div>');
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await blanks(set)).toBe(0);
    hidden.mockReturnValue(false);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(await blanks(set)).toBe(1);
  });

  test('the next page view is looked at, too; a closed client looks at nothing', async () => {
    const set = page('<div id="app"></div>');
    await vi.advanceTimersByTimeAsync(2_500);
    set.client.startPage('');
    await vi.advanceTimersByTimeAsync(2_500);
    expect(await blanks(set)).toBe(2);
    set.client.startPage('');
    void set.client.close(0);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(await blanks(set)).toBe(2);
  });
});

describe('filters', () => {
  const v8 = 'Error: see http://localhost:3000\n    at f (https://cdn.example/lib.js:1:2)\n    at https://shop.example/app.js:3:4';
  const at = (stack: string) => ({name: 'Error', message: 'm', stack});

  test.each<[string, Parameters<typeof filters>[0], unknown, boolean]>([
    ['nothing to filter by', {}, new Error('x'), true],
    ['empty lists', {allowUrls: [], denyUrls: [], ignoreErrors: []}, at(v8), true],
    ['a text of the message', {ignoreErrors: ['ResizeObserver']}, new Error('ResizeObserver loop'), false],
    ['the name', {ignoreErrors: [/^ChunkLoadError:/g]}, {name: 'ChunkLoadError', message: 'x'}, false],
    ['another message', {ignoreErrors: ['ResizeObserver', /^y/]}, new Error('x'), true],
    ['the innermost script of V8', {denyUrls: ['cdn.example']}, at(v8), false],
    ['not one further out', {denyUrls: ['shop.example']}, at(v8), true],
    ['an address in the message is none', {denyUrls: ['localhost']}, at(v8), true],
    ['Firefox', {denyUrls: [/^moz-extension:/]}, at('f@moz-extension://1a-2b/x.js:1:2\n@https://shop.example/:1:1'), false],
    ['Safari', {allowUrls: ['shop.example']}, at('https://cdn.example/x.js:1:2\nglobal code@https://shop.example/a.js:1:1'), false],
    ['a script that is allowed', {allowUrls: ['other.example', /shop\.example/]}, at('f@https://shop.example/a.js:1:2'), true],
    ['an unknown script', {allowUrls: ['shop.example']}, 'text', true],
  ])('%s', async (_, options, thrown, kept) => {
    const set = scene({}, [filters(options), errors()]);
    reject(thrown);
    reject(thrown);
    hide();
    await set.flush();
    expect(total(set)).toBe(kept ? 2 : 0);
    expect(discarded(set)).toEqual(kept ? [] : [{reason: 'filtered', kind: 'error', count: 2}]);
  });

  test('without a stack the source decides; other kinds are left alone', async () => {
    const set = scene({}, [filters({denyUrls: ['cdn.example'], ignoreErrors: ['purchase']}), errors()]);
    raise({message: 'x', filename: 'https://cdn.example/a.js', lineno: 1});
    set.client.capture({kind: 'track', name: 'purchase', data: {source: 'https://cdn.example/'}});
    await set.flush();
    expect(set.events().map(({kind}) => kind)).toEqual(['track']);
  });
});
