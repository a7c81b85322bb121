// A page that misbehaves on request.
const log = (text) => { document.getElementById('log').textContent = text; };
const on = (id, action) => document.getElementById(id).addEventListener('click', action);

on('throw', () => {
  log('threw a TypeError');
  const cart = undefined;
  cart.items.push('mug');
});

on('reject', () => {
  log('rejected a promise');
  Promise.reject(new RangeError('only 0 mugs left'));
});

on('fail-request', async () => {
  const answer = await fetch('/shop/api/checkout?token=not-for-the-dashboard', { method: 'POST' });
  log(`checkout answered ${answer.status}`);
});

on('ok-request', async () => {
  const answer = await fetch('/shop/api/cart');
  log(`cart answered ${answer.status}`);
});

on('missing-image', () => {
  const image = new Image();
  image.alt = '';
  image.src = '/shop/missing.png';
  document.body.append(image);
  log('asked for an image that does not exist');
});

on('shift-layout', () => {
  // Later than 500 ms after the click, so that the browser does not excuse the shift.
  setTimeout(() => {
    const banner = document.createElement('div');
    banner.className = 'banner';
    banner.textContent = 'A late banner pushes everything down.';
    document.getElementById('banner-slot').append(banner);
    log('shifted the layout');
  }, 700);
});

on('slow-click', () => {
  const end = performance.now() + 300;
  while (performance.now() < end) { /* the visitor waits */ }
  log('blocked the page for 300 ms');
});

on('track', () => {
  window.MonitorKit?.track('purchase', { article: 'mug' }, 9.5);
  log('tracked a purchase');
});

for (const button of document.querySelectorAll('[data-route]')) {
  button.addEventListener('click', () => history.pushState(null, '', button.dataset.route));
}
