// Generated, seeded events that are consistent with each other: visitors have sessions, sessions have pages, pages have
// vitals, requests and sometimes errors.

import { resourcesOf } from './resources.mjs';

export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const ROUTES = [['/', 30, 1900], ['/products', 24, 2300], ['/products/:id', 22, 2700], ['/cart', 12, 2100], ['/checkout', 7, 3600], ['/account', 5, 1700], ['/search', 9, 4300]];
const BROWSERS = [['Chrome', '156.0', 60], ['Safari', '26.1', 22], ['Firefox', '151.0', 12], ['Edge', '156.0', 6]];
const SYSTEMS = { Chrome: ['Windows', 'Android', 'macOS', 'Linux'], Safari: ['iOS', 'macOS'], Firefox: ['Windows', 'Linux'], Edge: ['Windows'] };
const COUNTRIES = [['DE', 34], ['FR', 26], ['CN', 18], ['US', 14], ['BR', 8]];
const TARGETS = { LCP: ['#hero > img', 'main > h1', '.product > img'], INP: ['button.add-to-cart', '#search', 'a.filter'], CLS: ['.banner', '#reviews'] };
const ORIGIN = 'https://shop.example';

const ERRORS = [
  { fingerprint: '9f2c61d0a4b7e813', name: 'TypeError', message: "Cannot read properties of undefined (reading 'price')", route: '/cart', weight: 9 },
  { fingerprint: '1c7be4420f5d9a66', name: 'UnhandledRejection', message: 'Request failed with status code 502', route: '', weight: 6 },
  { fingerprint: 'e80b53f17c2d4419', name: 'ReferenceError', message: 'applyCoupon is not defined', route: '/checkout', weight: 4, release: '1.4.0' },
  { fingerprint: '44d1aa90b3e6c752', name: 'ResourceError', message: 'failed to load https://cdn.shop.example/img/hero-2x.webp', route: '/', weight: 3 },
  { fingerprint: '7a0fd2c8915be3f4', name: 'RangeError', message: 'Maximum call stack size exceeded', route: '/search', weight: 2 },
  { fingerprint: 'b2956ce3f80d17a1', name: 'SyntaxError', message: 'Unexpected token \'<\', "<!doctype "... is not valid JSON', route: '', weight: 2 },
];

const APP = `${ORIGIN}/assets/app-4f1c9a.js`;
const VENDOR = `${ORIGIN}/assets/vendor-91bd03.js`;

const frame = (name, file = '', line = 0, column = 0, more = {}) => ({ function: name, file, line, column, in_app: file !== '', ...more });

/** The frames of an error, as the service reads them. */
function framesOf(browser) {
  const likeChrome = browser !== 'Firefox' && browser !== 'Safari';
  return [
    frame('totalOf', APP, 412, 31), ...(browser === 'Firefox' ? [] : [frame(likeChrome ? 'Array.map' : 'map')]), frame(likeChrome ? 'Cart.renderCart' : 'renderCart', APP, 398, 18),
    frame(likeChrome ? 'Object.update' : 'update/<', VENDOR, 2, 18231), frame('flush', VENDOR, 2, 17820, { async: true }), frame('', APP, 1, 204),
  ];
}

/** The text of these frames, as the browser writes it. */
function stackOf(browser, { name, message }, frames) {
  if (browser === 'Firefox' || browser === 'Safari') {
    return frames.map((one) => `${one.async ? 'async*' : ''}${one.function}@${one.file ? `${one.file}:${one.line}:${one.column}` : '[native code]'}`).join('\n');
  }
  const place = ({ file, line, column }) => (file ? `${file}:${line}:${column}` : '<anonymous>');
  const at = (one) => `    at ${one.async ? 'async ' : ''}${one.function ? `${one.function} (${place(one)})` : place(one)}`;
  return [`${name}: ${message}`, ...frames.map(at)].join('\n');
}

const CAUSE = { name: 'NetworkError', message: 'no answer from the price service' };
const INNER = { name: 'RangeError', message: 'the quantity is below zero' };

/** What is told of an error, and how the service reads it. */
function detailsOf(browser, error) {
  const frames = framesOf(browser);
  const [inCause, inInner] = [[frame('loadPrices', APP, 77, 9)], [frame('quantityOf', APP, 91, 5)]];
  const whole = error.name === 'TypeError';
  return {
    data: {
      message: error.message, stack: stackOf(browser, error, frames),
      ...(whole && {
        causes: [{ ...CAUSE, stack: stackOf(browser, CAUSE, inCause) }], errors: [{ ...INNER, stack: stackOf(browser, INNER, inInner) }],
        component_stack: `\n    at Total (${APP}:410:3)\n    at Cart (${APP}:390:3)\n    at App`, component: 'CartTotal', info: 'render', contexts: { cart: { items: 3, currency: 'EUR' } },
      }),
    },
    exceptions: [
      { role: 'error', name: error.name, message: error.message, frames },
      ...(whole ? [{ role: 'cause', ...CAUSE, frames: inCause }, { role: 'inner', ...INNER, frames: inInner }] : []),
    ],
  };
}

export class Generator {
  constructor(seed) {
    this.random = random(seed);
    this.serial = 0;
  }

  pick(weighted) {
    const total = weighted.reduce((sum, row) => sum + row.at(-1), 0);
    let at = this.random() * total;
    for (const row of weighted) if ((at -= row.at(-1)) < 0) return row;
    return weighted[0];
  }

  hex(length) {
    let text = '';
    while (text.length < length) text += Math.floor(this.random() * 0x100000000).toString(16).padStart(8, '0');
    return text.slice(0, length);
  }

  /** Log-normal around `median`: what durations on the web look like. */
  around(median, spread = 0.45) {
    const normal = Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
    return Math.round(median * Math.exp(normal * spread) * 10) / 10;
  }

  /** The parts of a load that took `load` ms in all, as the SDK tells them: durations, then what happened when. */
  phases(load, type) {
    const reused = this.random() < 0.4;
    const [dns, tcp, tls] = reused ? [0, 0, 0] : [this.around(18), this.around(28), this.around(34)];
    const request = this.around(210);
    const response = this.around(45);
    const interactive = dns + tcp + tls + request + response + this.around(420);
    const complete = Math.max(interactive + 20, load - this.around(12));
    const round = (value) => Math.round(value * 10) / 10;
    return {
      redirect: this.random() < 0.06 ? this.around(140) : 0, dns, tcp, tls, request, response, dom_interactive: round(interactive), dom_complete: round(complete),
      load: round(Math.max(load, complete)), transfer_size: Math.round(this.around(21_000)), protocol: 'h2', visibility: 'visible', type,
    };
  }

  /** One session that began at `start`: an array of event documents, oldest first. `release` when it is not to be drawn. */
  session(project, start, { release: given } = {}) {
    const [browser, version] = this.pick(BROWSERS);
    const systems = SYSTEMS[browser];
    const os = systems[Math.floor(this.random() * systems.length)];
    const device = os === 'Android' || os === 'iOS' ? 'mobile' : 'desktop';
    const release = given ?? (this.random() < 0.7 ? '1.4.0' : this.random() < 0.8 ? '1.3.2' : '1.3.1');
    const visitor = `v${Math.floor(this.random() * 900)}`;
    const shared = {
      project, release, environment: this.random() < 0.92 ? 'production' : 'staging', sdk: 'monitor-kit.browser/0.1.0',
      session: this.hex(16), visitor, user: this.random() < 0.4 ? String(1000 + Math.floor(this.random() * 400)) : '',
      browser, browser_version: version, os, os_version: os === 'Windows' ? '11' : '', device,
      screen: device === 'mobile' ? '412x915' : '1920x1080', viewport: device === 'mobile' ? '412x780' : '1440x820',
      language: this.random() < 0.6 ? 'en-GB' : 'fr-FR', connection: device === 'desktop' || this.random() < 0.8 ? '4g' : '3g', timezone: 'Europe/Paris', country: this.pick(COUNTRIES)[0], ip: '192.0.2.0',
      user_agent: `Mozilla/5.0 (${os}) ${browser}/${version}`, tags: { tenant: this.random() < 0.5 ? 'acme' : 'globex' },
    };
    const events = [];
    const pages = 1 + Math.floor(this.random() * 4);
    let time = start;
    for (let index = 0; index < pages; index++) {
      const [route, , lcp] = this.pick(ROUTES.map(([name, weight, median]) => [name, weight, median, weight]));
      const path = route.replace(':id', String(100 + Math.floor(this.random() * 60)));
      const page = { page: this.hex(16), url: `${ORIGIN}${path}`, route, referrer: index ? `${ORIGIN}/` : '', title: route === '/' ? 'Home' : route.slice(1) };
      let seq = 0;
      const add = (kind, name, after, more = {}) => events.push(this.event({ ...shared, ...page, seq: seq++, kind, name, time: Math.round(time + after), ...more }));
      const slow = device === 'mobile' ? 1.35 : 1;
      add('page_view', 'page_view', 0, { attributes: { navigation_type: index ? 'push' : 'load' } });
      const type = index ? 'soft-navigation' : this.random() < 0.12 ? 'reload' : this.random() < 0.1 ? 'back-forward-cache' : 'navigate';
      if (index === 0 || this.random() < 0.3) {
        const vital = (name, value, after, good, poor) =>
          add('vital', name, after, {
            value, rating: value <= good ? 'good' : value <= poor ? 'needs-improvement' : 'poor', target: TARGETS[name]?.[Math.floor(this.random() ** 2 * TARGETS[name].length)] ?? '',
            attributes: { navigation_type: type }, data: { delta: value, visibility: 'visible' },
          });
        vital('TTFB', this.around(520 * slow), 600, 800, 1800);
        vital('FCP', this.around(1350 * slow), 1400, 1800, 3000);
        vital('LCP', this.around(lcp * slow * 0.8), 2500, 2500, 4000);
        vital('CLS', Math.round(this.around(60, 0.8)) / 1000, 5000, 0.1, 0.25);
        vital('INP', this.around(140 * slow, 0.7), 5000, 200, 500);
      }
      const requests = 1 + Math.floor(this.random() * 4);
      for (let i = 0; i < requests; i++) {
        const failed = this.random() < 0.035;
        const network = failed && this.random() < 0.3;
        add('request', 'fetch', 300 + i * 400, {
          value: this.around(180), method: i ? 'GET' : 'POST', status: failed ? (network ? 0 : 502) : 200,
          failure: failed ? (network ? 'network' : 'http') : '', target: `${ORIGIN}/api${path}`,
        });
      }
      if (this.random() < 0.5) add('click', 'click', 4000, { target: 'button.add-to-cart' });
      if (index === 0) {
        const load = this.around(1900 * slow);
        const { type: kind, ...phases } = this.phases(load, type === 'reload' ? 'reload' : 'navigate');
        add('navigation', 'navigation', 2600, { value: phases.load, attributes: { navigation_type: kind }, data: phases });
        for (const { name, ...resource } of resourcesOf(this, slow)) add('resource', name, 2700, resource);
      }
      if (this.random() < 0.3) add('scroll_depth', 'scroll_depth', 6000, { value: Math.round(this.random() * 100) });
      if (this.random() < 0.3) add('time_on_page', 'time_on_page', 7000, { value: this.around(9000) });
      if (this.random() < 0.1) add('longtask', 'long-animation-frame', 3000, { value: this.around(120), target: VENDOR });
      if (this.random() < 0.03) add('console', 'error', 3500, { message: 'price service answered slowly', data: { message: 'price service answered slowly' } });
      if (this.random() < 0.03) add('dead_click', 'dead_click', 4600, { target: 'div.card' });
      if (this.random() < 0.05) add('track', 'wishlist', 42_000, { data: { items: 1 } });
      if (this.random() < 0.04) add('rage_click', 'rage_click', 5000, { value: 5, target: 'button.pay' });
      if (this.random() < 0.02) add('csp', 'img-src', 900, { target: 'https://ads.example/pixel.gif' });
      if (this.random() < 0.11) {
        const [error] = this.pick(ERRORS.map((row) => [row, row.route === route ? row.weight * 4 : row.weight]));
        const { data, exceptions } = detailsOf(browser, error);
        add('error', error.name, 4200, {
          message: error.message, fingerprint: error.fingerprint, ...(error.release ? { release: error.release } : {}), exceptions,
          data: {
            ...data, mechanism: error.name === 'UnhandledRejection' ? 'onunhandledrejection' : 'onerror', handled: false,
            source: APP, line: 412, column: 31,
            breadcrumbs: [
              { time: Math.round(time), category: 'navigation', message: `/ → ${path}` },
              { time: Math.round(time + 700), category: 'request', message: `GET /api${path}`, data: { status: 200, duration: 184 } },
              { time: Math.round(time + 3100), category: 'console', level: 'warning', message: 'cart total is missing, computing it' },
              { time: Math.round(time + 4150), category: 'click', message: 'button.add-to-cart' },
            ],
          },
        });
      }
      time += 8_000 + this.random() * 60_000;
    }
    return events;
  }

  event(fields) {
    this.serial++;
    return {
      id: `${this.hex(8)}-7000-7000-a000-${this.serial.toString(16).padStart(12, '0')}`,
      time: 0, received: fields.time + 480, seq: 0, kind: '', name: '', value: null, project: '', release: '', environment: '', sdk: '',
      page: '', url: '', route: '', referrer: '', title: '', session: '', visitor: '', user: '', browser: '', browser_version: '', os: '', os_version: '',
      device: '', screen: '', viewport: '', language: '', connection: '', timezone: '', country: '', ip: '', user_agent: '', fingerprint: '', message: '',
      status: 0, method: '', target: '', failure: '', rating: '', tags: {}, attributes: {}, data: {}, ...fields,
    };
  }
}

const DAY = 86_400_000;
const RELEASES = [['1.3.1', Infinity], ['1.3.2', 19 * DAY], ['1.4.0', DAY / 3]];

/** What a visitor ran so long ago: a release takes some time to reach everybody. */
function releaseAt(age, chance) {
  const [name] = RELEASES.findLast(([, since]) => age < since && chance > (age / since) ** 3);
  return name;
}

/** Thirty days of a small shop up to `now`, with a daily and a weekly rhythm, denser in the last hour. Sorted by time. */
export function history(project, now, seed = 7) {
  const key = `${project} ${seed}`;
  const made = histories.get(key) ?? { now, events: generate(project, now, seed) };
  histories.set(key, made);
  const later = now - made.now;
  return made.events.map((event) => ({ ...event, time: event.time + later, received: event.received + later }));
}

/** Made once: the tests start many a service. */
const histories = new Map();

/** What time it is in the shop, always: what it did in its last hours must not hang on when somebody looks. */
const SHOP_TIME = Date.UTC(2026, 0, 14, 16);

function generate(project, now, seed) {
  const generator = new Generator(seed);
  const events = [];
  const spans = [[30 * DAY, 3_600_000, 9000], [3_600_000, 0, 30]];
  for (const [from, to, count] of spans) {
    for (let i = 0; i < count; i++) {
      const start = now - to - generator.random() * (from - to);
      const there = SHOP_TIME + start - now;
      const hour = (there % DAY) / 3_600_000;
      if (from > 3_600_000 && generator.random() > 0.35 + 0.65 * Math.sin((Math.PI * (hour + 2)) / 26) ** 2) continue;
      if (from > 3_600_000 && [0, 6].includes(new Date(there).getUTCDay()) && generator.random() < 0.3) continue;
      events.push(...generator.session(project, start, { release: releaseAt(now - start, generator.random()) }));
    }
  }
  return events.filter((event) => event.time <= now).sort((a, b) => a.time - b.time);
}

export const ATTACKS = ['<img src=x onerror="window.__xss=1">', '<script>window.__xss=1</script>', 'javascript:window.__xss=1', '"><svg onload=window.__xss=1>', '{{constructor.constructor("window.__xss=1")()}}'];

const hostileExceptions = (attack) => ['error', 'cause', 'inner'].map((role) => ({ role, name: attack, message: attack, frames: [frame(attack, attack, 1, 2), frame('f', 'javascript:alert(1)', 3, 4)] }));

/** Events whose every text is an attack on whoever shows it. */
export function hostile(project, now) {
  const generator = new Generator(99);
  const events = [];
  ATTACKS.forEach((attack, index) => {
    const texts = Object.fromEntries(['release', 'environment', 'sdk', 'url', 'route', 'referrer', 'title', 'session', 'visitor', 'user', 'browser', 'browser_version',
      'os', 'os_version', 'device', 'screen', 'viewport', 'language', 'connection', 'timezone', 'country', 'ip', 'user_agent', 'message', 'method', 'target', 'rating'].map((field) => [field, attack]));
    const data = {
      [attack]: attack, message: attack, stack: `${attack}\n    at ${attack} (${attack}:1:2)\n    at f (javascript:alert(1):3:4)\n${attack}@${attack}:5:6`, source: attack,
      causes: [{ name: attack, message: attack, stack: attack }], component_stack: attack, component: attack, info: attack, mechanism: attack, contexts: { [attack]: attack },
      breadcrumbs: [{ time: now, category: attack, message: attack, level: attack, data: { [attack]: attack } }, attack, null, 7],
    };
    const common = { ...texts, project, page: `${attack}${index}`, tags: { [attack]: attack }, attributes: { [attack]: attack }, data };
    for (let minute = 1; minute < 50; minute += 6) {
      const time = now - minute * 60_000;
      events.push(generator.event({ ...common, exceptions: hostileExceptions(attack), time, kind: 'error', name: attack, fingerprint: `${attack}/../?#%zz` }));
      events.push(generator.event({ ...common, time, kind: 'page_view', name: 'page_view' }));
      events.push(generator.event({ ...common, time, kind: 'request', name: 'fetch', value: 100, failure: attack }));
      for (const kind of ['navigation', 'resource', 'longtask', 'rage_click', 'form_submit', 'csp', 'report', attack]) events.push(generator.event({ ...common, time, kind, name: attack, value: 5 }));
      for (const [name, value] of [['LCP', 3000], ['INP', 90], ['CLS', 0.4], ['FCP', 1200], ['TTFB', 400]]) events.push(generator.event({ ...common, time, kind: 'vital', name, value }));
    }
  });
  return events.sort((a, b) => a.time - b.time);
}
