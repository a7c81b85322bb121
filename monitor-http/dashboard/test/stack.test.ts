import { describe, expect, it } from 'vitest';
import { originOf, parseStack, shortFile } from '../src/lib/stack.ts';

const brief = (stack: string) => parseStack(stack).map((frame) => [frame.function, frame.file, frame.line, frame.column, frame.origin]);

describe('stacks of Chrome', () => {
  it('are read with every form of a frame', () => {
    expect(brief(`TypeError: Cannot read properties of undefined (reading 'price')
    at totalOf (https://shop.example/app.js:412:31)
    at Array.map (<anonymous>)
    at new Cart (https://shop.example/app.js:1:2)
    at Object.update [as render] (https://shop.example/node_modules/ui/index.js:2:18231)
    at async flush (https://shop.example/app.js?v=3:2:17820)
    at async Promise.all (index 0)
    at https://shop.example/app.js:1:204
    at eval (eval at run (https://shop.example/eval.js:7:8), <anonymous>:1:1)
    at <anonymous>
    at chrome-extension://abc/content.js:3:4`)).toEqual([
      ['totalOf', 'https://shop.example/app.js', 412, 31, 'own'],
      ['Array.map', '', null, null, 'native'],
      ['new Cart', 'https://shop.example/app.js', 1, 2, 'own'],
      ['Object.update [as render]', 'https://shop.example/node_modules/ui/index.js', 2, 18231, 'library'],
      ['flush', 'https://shop.example/app.js?v=3', 2, 17820, 'own'],
      ['Promise.all', '', null, null, 'native'],
      ['', 'https://shop.example/app.js', 1, 204, 'own'],
      ['eval', 'https://shop.example/eval.js', 7, 8, 'own'],
      ['', '', null, null, 'native'],
      ['', 'chrome-extension://abc/content.js', 3, 4, 'extension'],
    ]);
  });

  it('mark asynchronous frames', () => {
    expect(parseStack('    at async load (https://a.example/x.js:1:2)')[0]).toMatchObject({ function: 'load', isAsync: true });
  });
});

describe('stacks of Firefox', () => {
  it('are read with nested, anonymous, asynchronous and evaluated code', () => {
    expect(brief(`totalOf@https://shop.example/app.js:412:31
update/<@https://shop.example/app.js:2:3
@https://shop.example/app.js:1:204
promise callback*load@https://shop.example/app.js:9:1
run@https://shop.example/app.js line 5 > eval:1:1
`)).toEqual([
      ['totalOf', 'https://shop.example/app.js', 412, 31, 'own'],
      ['update', 'https://shop.example/app.js', 2, 3, 'own'],
      ['', 'https://shop.example/app.js', 1, 204, 'own'],
      ['load', 'https://shop.example/app.js', 9, 1, 'own'],
      ['run', 'https://shop.example/app.js', 5, null, 'own'],
    ]);
  });

  it('a scoped package in the path does not split the frame', () => {
    expect(brief('render@https://cdn.jsdelivr.net/npm/@scope/pkg@1.2.3/index.js:1:2')).toEqual([['render', 'https://cdn.jsdelivr.net/npm/@scope/pkg@1.2.3/index.js', 1, 2, 'library']]);
  });
});

describe('stacks of Safari', () => {
  it('are read with native code and global code', () => {
    expect(brief(`totalOf@https://shop.example/app.js:412:31
map@[native code]
global code@https://shop.example/app.js:1:204
https://shop.example/app.js:3:4`)).toEqual([
      ['totalOf', 'https://shop.example/app.js', 412, 31, 'own'],
      ['map', '', null, null, 'native'],
      ['global code', 'https://shop.example/app.js', 1, 204, 'own'],
      ['', 'https://shop.example/app.js', 3, 4, 'own'],
    ]);
  });
});

describe('any text', () => {
  it('that is no stack has no frames', () => {
    for (const text of ['', 'Error: boom', 'write to me@example.org', 'TypeError: a@b is bad\n\n', 'x'.repeat(1_000_000)]) expect(parseStack(text)).toEqual([]);
  });

  it('is read in bounded time and to a bounded number of frames', () => {
    const start = performance.now();
    expect(parseStack('at a (b:1:1)\n'.repeat(100_000))).toHaveLength(200);
    parseStack(`at ${'('.repeat(500_000)}`);
    parseStack(`${'@'.repeat(100_000)}\n${':1'.repeat(100_000)}`);
    parseStack(`at ${'eval at ('.repeat(50_000)}`);
    parseStack(`f@${'/vendor'.repeat(100_000)}:1:1`);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

describe('code of others', () => {
  it.each([
    ['https://shop.example/assets/vendor-91bd03.js', 'library'], ['https://unpkg.com/x/y.js', 'library'], ['https://shop.example/js/react-dom.production.min.js', 'library'],
    ['https://shop.example/js/jquery-3.7.1.min.js', 'library'], ['webpack://shop/./node_modules/lodash/x.js', 'library'], ['moz-extension://a/b.js', 'extension'], ['node:internal/x', 'native'],
    ['https://shop.example/assets/app.js', 'own'], ['https://vendor.example/app.js', 'own'], ['https://shop.example/reactions.js', 'own'],
  ])('%s is %s', (file, origin) => expect(originOf(file)).toBe(origin));
});

it('files are shown without host and query', () => {
  expect(shortFile('https://shop.example/assets/app.js?v=1#x')).toBe('assets/app.js');
  expect(shortFile('https://shop.example/')).toBe('shop.example');
  expect(shortFile('app.js')).toBe('app.js');
});
