import { describe, expect, it } from 'vitest';
import { originOf, placeOf, shortFile } from '../src/lib/stack.ts';

describe('code of others', () => {
  it.each([
    ['https://shop.example/assets/vendor-91bd03.js', 'library'], ['https://unpkg.com/x/y.js', 'library'], ['https://shop.example/js/react-dom.production.min.js', 'library'],
    ['https://shop.example/js/jquery-3.7.1.min.js', 'library'], ['webpack://shop/./node_modules/lodash/x.js', 'library'], ['moz-extension://a/b.js', 'extension'],
    ['webkit-masked-url://hidden/', 'extension'], ['node:internal/x', 'native'], ['', 'native'],
    ['https://shop.example/assets/app.js', 'own'], ['https://vendor.example/app.js', 'own'], ['https://shop.example/reactions.js', 'own'],
  ])('%s is %s', (file, origin) => expect(originOf({ file, in_app: true })).toBe(origin));

  it('is also what the service says it is', () => expect(originOf({ file: 'https://shop.example/app.js', in_app: false })).toBe('library'));

  it('is told in bounded time', () => {
    const start = performance.now();
    originOf({ file: `${'/vendor'.repeat(100_000)}`, in_app: true });
    originOf({ file: `${'a'.repeat(100_000)}-`, in_app: true });
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

it('files are shown without host and query', () => {
  expect(shortFile('https://shop.example/assets/app.js?v=1#x')).toBe('assets/app.js');
  expect(shortFile('https://shop.example/')).toBe('shop.example');
  expect(shortFile('app.js')).toBe('app.js');
});

it('places are shown as far as they are known', () => {
  const place = (file: string, line: number, column: number) => placeOf({ function: '', file, line, column, in_app: true });
  expect(place('https://shop.example/app.js', 10, 5)).toBe('app.js:10:5');
  expect(place('https://shop.example/app.js', 10, 0)).toBe('app.js:10');
  expect(place('https://shop.example/sum.wasm', 0, 0x1f4)).toBe('sum.wasm +0x1f4');
  expect(place('https://shop.example/app.js', 0, 0)).toBe('app.js');
  expect(place('', 0, 0)).toBe('');
});
