// @vitest-environment node
import {gunzipSync} from 'node:zlib';
import {beforeEach, expect, test, vi} from 'vitest';
import {gzip} from '../src/transport/gzip.js';

/** This environment has the compressor, but no window. */
const page = new EventTarget();

beforeEach(() => {
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
});

test('what is long becomes shorter', async () => {
  const body = JSON.stringify(Array.from({length: 1_000}, (_, i) => `é😀 ${i}`));
  const packed = (await gzip(body))!;
  expect(packed.length).toBeLessThan(body.length);
  expect(gunzipSync(packed).toString()).toBe(body);
});

test('it is undefined where there is no compressor', async () => {
  vi.stubGlobal('CompressionStream', undefined);
  expect(await gzip('x')).toBeUndefined();
});

test('a page that is left does not wait for the compressor', async () => {
  // One that never ends.
  vi.stubGlobal('CompressionStream', class extends TransformStream {
    constructor() {
      super({transform: () => new Promise(() => {})});
    }
  });
  const packed = gzip('x'.repeat(10_000));
  page.dispatchEvent(new Event('pagehide'));
  expect(await packed).toBeUndefined();
});
