// What a page loads: one event for each type of resource, as docs/protocol.md describes the kind `resource`.

const ORIGIN = 'https://shop.example';
const CDN = 'https://cdn.shop.example';

/** Type, median of the slowest file in ms, files on a page, bytes of a file, and the files that can be the slowest. */
const TYPES = [
  ['script', 240, 6, 42_000, ['/assets/vendor-91bd03.js', '/assets/app-4f1c9a.js', '/assets/checkout-77a1e0.js'].map((path) => ORIGIN + path)],
  ['css', 90, 2, 18_000, [`${ORIGIN}/assets/app-0d1f22.css`, `${ORIGIN}/assets/fonts.css`]],
  ['img', 420, 14, 64_000, ['/img/hero-2x.webp', '/img/products/lamp.webp', '/img/products/chair.webp', '/img/banner-autumn.webp', '/img/logo.svg'].map((path) => CDN + path)],
  ['font', 130, 3, 31_000, [`${CDN}/fonts/inter-var.woff2`, `${CDN}/fonts/inter-italic.woff2`]],
  ['fetch', 210, 3, 6_000, [`${ORIGIN}/api/products`, `${ORIGIN}/api/cart`, `${ORIGIN}/api/recommendations`]],
];

/** The `resource` events of one page view: `{name, value, target, data}`. `slow` is how much longer this device takes. */
export function resourcesOf(generator, slow = 1) {
  return TYPES.map(([name, median, files, bytes, targets]) => {
    const count = 1 + Math.floor(generator.random() * files);
    const first = Math.min(targets.length - 1, Math.floor(generator.random() ** 2 * targets.length));
    const slowest = Array.from({ length: Math.min(3, count, targets.length) }, (_, index) => ({
      url: targets[(first + index) % targets.length], duration: generator.around((median * slow) / (1 + index * 0.6)), size: Math.round(generator.around(bytes)),
    })).sort((a, b) => b.duration - a.duration);
    const rest = (count - slowest.length) * median * 0.3;
    return {
      name, value: slowest[0].duration, target: slowest[0].url,
      data: { count, transfer_size: slowest.reduce((sum, { size }) => sum + size, (count - slowest.length) * bytes), duration: Math.round(slowest.reduce((sum, { duration }) => sum + duration, rest)), slowest },
    };
  });
}
