import {describe, expect, test} from 'vitest';
import {bareUrl} from '../src/bareUrl.js';
import {endpointOf} from '../src/dsn.js';
import {id} from '../src/id.js';
import {patch} from '../src/patch.js';
import {plain} from '../src/plain.js';
import {scrubUrl} from '../src/scrubUrl.js';
import {selector} from '../src/selector.js';
import {text} from '../src/text.js';

describe('text', () => {
  test.each([
    ['short', 10, 'short'],
    ['exactly', 7, 'exactly'],
    ['a longer text', 6, 'a l...'],
    // The emoji is two units; a cut between them leaves no half behind.
    ['ab😀cdef', 6, 'ab\ufffd...'],
    ['\ud83d alone', 20, '\ufffd alone'],
    ['alone \ude00', 20, 'alone \ufffd'],
    ['😀😀', 4, '😀😀'],
  ])('%j within %i units is %j', (value, max, expected) => {
    const result = text(value, max);
    expect(result).toBe(expected);
    expect(result.length).toBeLessThanOrEqual(max);
    expect(JSON.stringify(result)).not.toMatch(/\\ud[89a-f]/);
  });
});

describe('id', () => {
  test('is a UUID v7 that begins with the time', () => {
    const made = id(1_700_000_000_123);
    expect(made).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
    expect(parseInt(made.slice(0, 12), 16)).toBe(1_700_000_000_123);
  });

  test('is different every time within one millisecond', () => {
    expect(new Set(Array.from({length: 10_000}, () => id(1))).size).toBe(10_000);
  });
});

describe('endpointOf', () => {
  test.each([
    ['https://key@host/shop', 'https://host/api/shop/events?key=key'],
    ['http://key@127.0.0.1:8080/shop/', 'http://127.0.0.1:8080/api/shop/events?key=key'],
    ['https://key@host/deep/mount/shop', 'https://host/deep/mount/api/shop/events?key=key'],
    ['https://a%26b@host/sh%20op', 'https://host/api/sh%20op/events?key=a%26b'],
  ])('%s is sent to %s', (dsn, endpoint) => {
    expect(endpointOf(dsn)).toBe(endpoint);
  });

  test.each(['', 'shop', 'https://host/shop', 'https://key@host', 'https://key@host/', 'ftp://key@host/shop', 'javascript:alert(1)'])(
    '%j is not a DSN',
    (dsn) => {
      expect(() => endpointOf(dsn)).toThrow();
    },
  );
});

describe('scrubUrl', () => {
  test.each([
    ['/cart?step=2', '/cart?step=2'],
    ['/?token=abc&step=2', '/?token=[scrubbed]&step=2'],
    ['/?password=a;passwd=b&PWD=c', '/?password=[scrubbed];passwd=[scrubbed]&PWD=[scrubbed]'],
    ['/?api_key=1&apiKey=2&key=3&monkey=4&keyword=5', '/?api_key=[scrubbed]&apiKey=[scrubbed]&key=[scrubbed]&monkey=4&keyword=5'],
    ['/?code=1&postcode=2&state=3', '/?code=[scrubbed]&postcode=2&state=3'],
    ['/?auth=1&author=2&x-auth-id=3', '/?auth=[scrubbed]&author=2&x-auth-id=[scrubbed]'],
    ['/?email=me@example.com&user%5Bmail%5D=x', '/?email=[scrubbed]&user%5Bmail%5D=[scrubbed]'],
    ['/?sessionId=1&session_id=2&sid=3&side=4', '/?sessionId=[scrubbed]&session_id=[scrubbed]&sid=[scrubbed]&side=4'],
    ['/cb#access_token=abc&state=1', '/cb#access_token=[scrubbed]&state=1'],
    ['/app#/reset?resetToken=abc', '/app#/reset?resetToken=[scrubbed]'],
    ['https://me:secret@host/a', 'https://host/a'],
    ['https://host/@me?x=a@b', 'https://host/@me?x=a@b'],
    ['/?%E0%A4%A=1&secret=2', '/?%E0%A4%A=1&secret=[scrubbed]'],
    ['/?token=', '/?token=[scrubbed]'],
    ['/?token', '/?token'],
    ['/?next=/reset?token=abc&step=2', '/?next=/reset?token=[scrubbed]&step=2'],
    ['/login?back=https://host/cb?code=1#id_token=2', '/login?back=https://host/cb?code=[scrubbed]#id_token=[scrubbed]'],
    ['/?at=10:20:30:40&token=a:1:2:3', '/?at=10:20:30:40&token=[scrubbed]'],
    ['/?auth=joe:4711', '/?auth=[scrubbed]'],
    ['/?password=a)b-secret&step=2', '/?password=[scrubbed]&step=2'],
    ['/?password=a)', '/?password=[scrubbed])'],
    ['/?password=p;secret6', '/?password=[scrubbed]'],
    ['/?password=p;secret6;step=2', '/?password=[scrubbed];step=2'],
    ['/?password=why?because&step=2', '/?password=[scrubbed]&step=2'],
    ['see (/reset?token=a)b), then (/reset?token=c) or /reset?token=d, as ever', 'see (/reset?token=[scrubbed]), then (/reset?token=[scrubbed]) or /reset?token=[scrubbed], as ever'],
    ['not a url', 'not a url'],
  ])('%s leaves the browser as %s', (url, expected) => {
    expect(scrubUrl(url)).toBe(expected);
  });
});

describe('scrubUrl of a text', () => {
  test('scrubs the addresses in a stack and keeps lines and columns', () => {
    expect(scrubUrl('TypeError: x\n    at f (https://u:p@host/a.js?token=abc:12:7)\n    at https://host/?key=v:3:4\ng@https://host/b.js:1:2', true)).toBe(
      'TypeError: x\n    at f (https://host/a.js?token=[scrubbed]:12:7)\n    at https://host/?key=[scrubbed]:3:4\ng@https://host/b.js:1:2',
    );
  });
});

test.each([
  ['at eval (eval at f (https://host/a.js?token=abc:12:7), <anonymous>:1:1)', 'at eval (eval at f (https://host/a.js?token=[scrubbed]:12:7), <anonymous>:1:1)'],
  ['f@https://host/a.js?token=a)b:12:7\n', 'f@https://host/a.js?token=[scrubbed]:12:7\n'],
  ['f@https://host/a.js?token=abc line 3 > eval:1:1', 'f@https://host/a.js?token=[scrubbed] line 3 > eval:1:1'],
  ['Error: /?auth=joe:4711\n    at https://host/a.js?auth=joe:4711:12:7', 'Error: /?auth=[scrubbed]\n    at https://host/a.js?auth=[scrubbed]:12:7'],
])('of %j in a stack the position stays', (stack, expected) => expect(scrubUrl(stack, true)).toBe(expected));

test.each(['/', '//x', '?a', '?a=', ':1', '?token=:1', '?token=:1:1)', ')', ';', ';a', '?', '),', '&', '@', ' ', '\u2028'])('scrubUrl takes no longer than an address is long: %j', (part) => {
  const began = performance.now();
  scrubUrl(`//host/?a=${part.repeat(200_000 / part.length)}x`);
  expect(performance.now() - began).toBeLessThan(1_000);
});

describe('bareUrl', () => {
  test.each([
    ['https://host:81/a/b?x=1#y', 'https://host:81/a/b'],
    ['https://me:pw@host/a', 'https://host/a'],
    ['/relative?x', `${location.origin}/relative`],
    ['data:image/png;base64,AAAA', 'data:'],
    ['blob:https://host/uuid', 'blob:'],
    ['http://[broken?x=1', 'http://[broken'],
    ['file:///home/me/a.html?x', 'file:///home/me/a.html'],
  ])('%s is grouped as %s', (url, expected) => {
    expect(bareUrl(url)).toBe(expected);
  });
});

describe('plain', () => {
  test('keeps what JSON can carry', () => {
    const value = {a: 1, b: 'text', c: true, d: null, e: [1, {f: 2}], g: new Date(0)};
    expect(JSON.parse(JSON.stringify(plain(value)))).toEqual({...value, g: '1970-01-01T00:00:00.000Z'});
  });

  test('says what it cannot carry', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const hostile = Object.defineProperty({fine: 1}, 'bad', {
      enumerable: true,
      get() {
        throw new Error('no');
      },
    });
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    expect(
      JSON.parse(JSON.stringify(plain({cycle, hostile, revoked: revoked.proxy, nan: NaN, big: 10n, fn: () => 1, sym: Symbol('s'), error: new RangeError('r')}))),
    ).toEqual({
      cycle: {self: '[circular]'},
      hostile: {fine: 1, bad: {}},
      revoked: {},
      nan: 'NaN',
      big: '10',
      fn: '[function]',
      sym: 'Symbol(s)',
      error: 'RangeError: r',
    });
  });

  test('the same object twice is no cycle', () => {
    const shared = {x: 1};
    expect(JSON.stringify(plain({a: shared, b: shared}))).toBe('{"a":{"x":1},"b":{"x":1}}');
  });

  test('a key named __proto__ is a key like any other', () => {
    const copy = plain(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}')) as any;
    expect(copy.polluted).toBeUndefined();
    expect(({} as any).polluted).toBeUndefined();
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}');
  });

  test('is bounded in depth, keys, values and text', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100; i++) deep = {deep};
    const wide = Object.fromEntries(Array.from({length: 300}, (_, i) => [`k${i}`, Array.from({length: 300}, () => 'x')]));
    const json = JSON.stringify(plain({deep, wide, long: '😀'.repeat(100_000)}));
    expect(json).toContain('[truncated]');
    expect(json).toContain('[truncated]');
    expect(json.length).toBeLessThan(60_000);
    expect(json).not.toMatch(/\\ud/);
  });
});

describe('patch', () => {
  test('undoing gives back exactly what was there', () => {
    const own = {method: () => 'own'};
    const {method} = own;
    patch(own, 'method', (original) => () => `patched ${original()}`)();
    expect(own.method).toBe(method);

    const inheriting = Object.create({method: () => 'inherited'});
    const undo = patch(inheriting, 'method', (original) => () => `patched ${original()}`);
    expect(inheriting.method()).toBe('patched inherited');
    undo();
    expect(Object.keys(inheriting)).toEqual([]);
    expect(inheriting.method()).toBe('inherited');
  });

  test('undoing leaves a later wrapper in place and does nothing more inside of it', () => {
    const owner = {method: () => 'original'};
    const undo = patch(owner, 'method', (original) => () => `ours(${original()})`);
    const ours = owner.method;
    owner.method = () => `theirs(${ours()})`;
    undo();
    expect(owner.method()).toBe('theirs(original)');
  });

  test('what is not a function is left alone', () => {
    const owner: any = {method: undefined};
    expect(() => patch(owner, 'method', () => () => 1)).toThrow(TypeError);
    expect(owner.method).toBeUndefined();
  });

  test('the wrapper has the name and length of the original, and no other properties', () => {
    const owner = {method: (one: number, two: number) => one + two};
    const original = Object.getOwnPropertyDescriptors(owner.method);
    patch(owner, 'method', (original) => (...args) => original(...args));
    const {name, length, ...others} = Object.getOwnPropertyDescriptors(owner.method);
    expect([name, length]).toEqual([original.name, original.length]);
    expect(others).toEqual({});
  });
});

describe('selector', () => {
  const of = (html: string): string => {
    document.body.innerHTML = html;
    return selector(document.querySelector('[data-hit]')!);
  };

  test.each([
    ['<main id="app"><p data-hit></p></main>', '#app > p'],
    ['<div data-testid="cart"><b class="x y z" data-hit></b></div>', '[data-testid="cart"] > b.x.y'],
    ['<a><b><c><d><e data-hit></e></d></c></b></a>', 'b > c > d > e'],
    ['<div id="radix-:r1:"><i data-hit></i></div>', 'div > i'],
    ['<div id="row-20260101"><i data-hit></i></div>', 'div > i'],
    ['<button class="hover:bg-red w-1/2 css-12345 primary" data-hit>secret text</button>', 'button.primary'],
  ])('%s is %s', (html, expected) => {
    expect(of(html)).toBe(expected);
  });

  test('is short whatever the page does', () => {
    expect(of(`<div data-testid="${'x'.repeat(5000)}" data-hit></div>`).length).toBeLessThanOrEqual(200);
    expect(selector(document.body)).toBe('body');
  });
});
