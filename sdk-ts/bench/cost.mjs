// What an SDK costs the page it runs in, in real Chromium: reading the script, starting, a busy session, bytes sent, and what an hour
// without a network leaves in memory. Every round measures every SDK once, each on a fresh page, in an order that rotates, so that
// whatever else the machine does meets all of them alike; the result is the median of the rounds.
// `start`, `session`, `view` and `offline` as arguments choose parts. Fails when a page did not do what it should, or an SDK did not
// send what it saw: then the figures would mean nothing.
import {loadavg} from 'node:os';
import {chromium} from 'playwright-core';
import {bundle} from './bundle.mjs';
import {running} from './entries.mjs';
import {errorsOf, lossesOf} from './formats.mjs';
import {cors, executablePath, figure, flags, serve, sleep, table, textOf} from './harness.mjs';

const START_ROUNDS = 15;
const SESSION_ROUNDS = 7;
const VIEW_ROUNDS = 3;
/** ms after the start in which what it put off is counted as its own. */
const CONSEQUENCES = 200;
const CLICKS = 1_000;
const FETCHES = 200;
const ERRORS = 100;
/** ms after the session in which queues are sent: longer than any of these SDKs waits. */
const SEND_TIME = 6_500;
const HOUR = 3_600_000;
/** Spread above which a figure is called noisy. */
const NOISY = 0.2;

const failures = [];
const must = (condition, text) => condition || failures.push(text);

const page = `<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,"><h1>Shop</h1><p id="result">ready</p>
${Array.from({length: 100}, (_, n) => `<button id="b${n}">Button ${n}</button>`).join('')}
<script>
  // Every click changes the page a little, as clicks do.
  let clicks = 0;
  for (const button of document.querySelectorAll('button')) button.addEventListener('click', () => { result.textContent = 'clicked ' + ++clicks; });

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  async function session(total, each) {
    let answered = 0;
    let thrown = 0;
    addEventListener('error', () => thrown++);
    for (let n = 0; n < each.fetches; n++) {
      for (let k = 0; k < each.clicks / each.fetches; k++) document.getElementById('b' + (n * 7 + k * 13) % 100).click();
      if (n % Math.ceil(each.fetches / each.errors) === 0) setTimeout(() => { throw new Error('session error ' + total + ' ' + n + '.'); });
      answered += (await (await fetch('/api/cart?n=' + n)).json()).items.length;
      await pause(5);
    }
    await pause(50);
    return {clicks, answered, thrown};
  }
</script>`;

/** Answers as a collector of any of these SDKs does, and counts what it was sent. Only one page is open at a time. */
const seen = {requests: 0, bytes: 0, errors: new Set(), reported: 0};
const collector = await serve((request, response, body) => {
  if (request.method === 'OPTIONS') return response.writeHead(204, {...cors, 'access-control-max-age': '600'}).end();
  seen.requests++;
  seen.bytes += body.length;
  const text = textOf(request, body);
  for (const format of Object.keys(errorsOf)) {
    for (const {message} of errorsOf[format](text)) if (message.includes('session error')) seen.errors.add(message);
    seen.reported += lossesOf[format](text);
  }
  response.writeHead(request.url.startsWith('/api/1/') ? 200 : 202, {...cors, 'content-type': 'application/json'}).end('{"accepted":0,"rejected":[]}');
});
const forget = () => Object.assign(seen, {requests: 0, bytes: 0, errors: new Set(), reported: 0});

const site = await serve((request, response) => {
  // Cross-origin isolation gives clocks of 5 µs instead of 100 µs.
  const isolated = {'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp'};
  const [, name] = request.url.split('/script/');
  if (name) return response.writeHead(200, {'content-type': 'text/javascript'}).end(scripts[name]);
  if (request.url.startsWith('/api/')) return response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify({items: [1]}));
  response.writeHead(200, {...isolated, 'content-type': 'text/html'}).end(page);
});

const names = ['bare', 'monitor', 'sentry_tracing', 'faro', 'web_vitals'];
/** For figures: Sentry as it is compared here traces, as otherwise it would watch far less than ours does. */
const label = (name) => (name === 'sentry_tracing' ? 'sentry' : name);
const scripts = Object.fromEntries(await Promise.all(names.map(async (name) => [name, String(await bundle({code: running[name]}, 'iife'))])));

const browser = await chromium.launch({executablePath, args: flags});

/** A fresh page of a fresh profile, with what its renderer's main thread did. */
async function open(options) {
  const context = await browser.newContext({viewport: {width: 1280, height: 720}, ...options});
  const tab = await context.newPage();
  await tab.goto(`${site.origin}/`);
  const devtools = await context.newCDPSession(tab);
  // CPU time of the main thread, not time on the wall: other programs of the machine do not count.
  await devtools.send('Performance.enable', {timeDomain: 'threadTicks'});
  const metrics = async () => Object.fromEntries((await devtools.send('Performance.getMetrics')).metrics.map(({name, value}) => [name, value]));
  return {
    context, tab, devtools, metrics,
    /** Bytes that live after garbage was collected. */
    async heap() {
      await devtools.send('HeapProfiler.collectGarbage');
      await devtools.send('HeapProfiler.collectGarbage');
      return (await devtools.send('Runtime.getHeapUsage')).usedSize;
    },
  };
}

/**
 * Reads the script and starts. `read` and `init`: how long each took on the page's clock, ms; `cpu`: what starting and its consequences
 * took of the main thread, ms; `whole`: the same with reading, so that nothing is saved by moving it from one to the other. The script
 * stands in the page, or is `fetched`, as most are: then `read` is also the way there and back.
 */
async function begin({tab, metrics}, name, fetched = false) {
  const opened = await metrics();
  const read = await tab.evaluate(([text, src]) => new Promise((done) => {
    const element = document.createElement('script');
    const begun = performance.now();
    const finish = () => done(performance.now() - begun);
    if (src) Object.assign(element, {src, onload: finish});
    else element.textContent = text;
    document.head.append(element);
    if (!src) finish();
  }), fetched ? ['', `/script/${name}`] : [scripts[name], '']);
  const before = await metrics();
  const init = await tab.evaluate((host) => {
    const begun = performance.now();
    globalThis.start({host});
    return performance.now() - begun;
  }, collector.host);
  await sleep(CONSEQUENCES);
  const {TaskDuration} = await metrics();
  return {read, init, both: read + init, cpu: (TaskDuration - before.TaskDuration) * 1000, whole: (TaskDuration - opened.TaskDuration) * 1000};
}

const rotated = (round, list) => list.map((_, n) => list[(n + round) % list.length]);
const sorted = (values) => [...values].sort((a, b) => a - b);
const median = (values) => {
  const list = sorted(values);
  return (list[(list.length - 1) >> 1] + list[list.length >> 1]) / 2;
};
/** Half of the rounds lie this far apart, as a share of the median. */
const spread = (values) => {
  const list = sorted(values);
  return Math.abs((list[Math.floor(list.length * 0.75)] - list[Math.floor(list.length * 0.25)]) / median(values));
};
const shown = (values, digits = 2) => median(values).toFixed(digits) + (median(values) ? ` ±${(spread(values) * 50).toFixed(0)}%` : '');
const collect = (list) => Object.fromEntries(list.map((name) => [name, []]));

async function measureStart() {
  const results = collect(names);
  // The first pages of a browser warm it up, and are not counted.
  for (let round = -1; round < START_ROUNDS; round++) {
    for (const name of rotated(Math.max(round, 0), names)) {
      const opened = await open();
      await sleep(100);
      const times = await begin(opened, name);
      await opened.context.close();
      const again = await open();
      await sleep(100);
      const {whole} = await begin(again, name, true);
      await again.context.close();
      if (round >= 0) results[name].push({...times, fetched: whole});
    }
  }
  return results;
}

async function measureSessions() {
  const list = names.filter((name) => name !== 'web_vitals');
  const results = collect(list);
  let total = 0;
  for (let round = 0; round < SESSION_ROUNDS; round++) {
    for (const name of rotated(round, list)) {
      const opened = await open();
      const {context, tab, metrics, heap} = opened;
      await begin(opened, name);
      forget();
      total++;
      const before = await metrics();
      const done = await tab.evaluate(([run, each]) => session(run, each), [total, {clicks: CLICKS, fetches: FETCHES, errors: ERRORS}]);
      await sleep(SEND_TIME);
      const after = await metrics();
      must(done.clicks === CLICKS && done.answered === FETCHES && done.thrown === ERRORS, `the page of ${name} did ${JSON.stringify(done)}`);
      // A limit on errors per time is fine; an SDK that sends none does no work.
      must(name === 'bare' || seen.errors.size > ERRORS / 10, `${name} sent ${seen.errors.size} of ${ERRORS} errors`);
      results[name].push({
        cpu: (after.TaskDuration - before.TaskDuration) * 1000,
        script: (after.ScriptDuration - before.ScriptDuration) * 1000,
        heap: await heap(), bytes: seen.bytes, requests: seen.requests, errors: seen.errors.size,
      });
      await context.close();
    }
  }
  return results;
}

/** A visitor looks at a page, presses three buttons, and leaves. */
async function measureViews() {
  const list = names.filter((name) => name !== 'bare' && name !== 'web_vitals');
  const results = collect(list);
  for (let round = 0; round < VIEW_ROUNDS; round++) {
    for (const name of list) {
      const opened = await open();
      const {context, tab} = opened;
      forget();
      await begin(opened, name);
      await tab.click('#b1');
      await tab.evaluate(() => fetch('/api/cart').then((answer) => answer.json()));
      await tab.click('#b2');
      await tab.click('#b3');
      await sleep(1_000);
      await tab.goto('about:blank');
      await sleep(1_500);
      must(seen.bytes > 0, `${name} sent nothing of a page view`);
      results[name].push({bytes: seen.bytes, requests: seen.requests});
      await context.close();
    }
  }
  return results;
}

/**
 * An hour without a network on the browser's own fast-forwarded clock: ten clicks and an error a second; then ten minutes with one.
 * Heap in bytes at the start, the half and the end of the hour.
 */
async function measureOffline(name) {
  const opened = await open();
  const {context, tab, devtools, heap} = opened;
  await begin(opened, name);
  await sleep(1_000);
  await context.setOffline(true);
  // The clock waits for requests. Otherwise it runs past the time-out of each before its answer can arrive, and everything is sent again and again.
  const forward = async (budget) => {
    const expired = new Promise((done) => devtools.once('Emulation.virtualTimeBudgetExpired', done));
    await devtools.send('Emulation.setVirtualTimePolicy', {policy: 'pauseIfNetworkFetchesPending', budget});
    await expired;
  };
  const heaps = [await heap()];
  await tab.evaluate(() => {
    globalThis.offline = {clicks: 0, errors: 0, since: Date.now()};
    globalThis.timers = [
      setInterval(() => document.getElementById('b' + (offline.clicks++ * 7) % 100).click(), 100),
      setInterval(() => { throw new Error('session error 0 ' + ++offline.errors + '.'); }, 1_000),
    ];
  });
  for (let half = 0; half < 2; half++) {
    await forward(HOUR / 2);
    // What was handed to the storage of the browser is let go when it has answered.
    await sleep(1_000);
    heaps.push(await heap());
  }
  const did = await tab.evaluate(() => {
    timers.forEach(clearInterval);
    return {...offline, passed: Date.now() - offline.since};
  });
  must(did.passed >= HOUR * 0.99 && did.clicks > 35_000 && did.errors > 3_500, `the offline page of ${name} did ${JSON.stringify(did)}`);
  // What it held was worth holding: with the network, it comes; and what did not come was not reported twice.
  forget();
  await context.setOffline(false);
  for (let step = 0; step < 60; step++) {
    await forward(HOUR / 360);
    await sleep(50);
  }
  const {errors: {size: held}, reported} = seen;
  await context.close();
  must(name !== 'monitor' || held > 0, 'ours held no error of the hour offline');
  must(name !== 'monitor' || held + reported <= did.errors, `ours sent ${held} and reported ${reported} lost of ${did.errors} errors`);
  return {heaps, held, reported, thrown: did.errors};
}

async function reportStart() {
  const starts = await measureStart();
  const times = (name, key) => starts[name].map((result) => result[key]);
  const beyondBare = (name, key) => median(starts[name].map((result, round) => result[key] - starts.bare[round][key]));
  const cpuOfStart = (name) => beyondBare(name, 'cpu');
  table([
    ['start', `median of ${START_ROUNDS}`, 'read script ms', 'init ms', 'both ms', 'CPU of init ms', 'beyond bare', 'CPU of both', 'beyond bare', 'fetched', 'beyond bare'],
    ...names.map((name) => [
      label(name), '', ...['read', 'init', 'both', 'cpu'].map((key) => shown(times(name, key))), cpuOfStart(name).toFixed(2),
      ...['whole', 'fetched'].flatMap((key) => [shown(times(name, key)), beyondBare(name, key).toFixed(2)]),
    ]),
  ]);
  const init = (name) => median(times(name, 'init'));
  for (const name of names.slice(1)) {
    figure(name === 'monitor' ? 'sdk.init_ms' : `sdk.init_ms.${label(name)}`, init(name).toFixed(3), 'ms');
    figure(`sdk.init_cpu_ms.${label(name)}`, cpuOfStart(name).toFixed(3), 'ms');
    figure(`sdk.script_ms.${label(name)}`, median(times(name, 'read')).toFixed(3), 'ms');
    figure(`sdk.script_and_init_ms.${label(name)}`, median(times(name, 'both')).toFixed(3), 'ms');
    figure(`sdk.script_and_init_cpu_ms.${label(name)}`, beyondBare(name, 'whole').toFixed(3), 'ms');
    figure(`sdk.fetched_script_and_init_cpu_ms.${label(name)}`, beyondBare(name, 'fetched').toFixed(3), 'ms');
    for (const key of ['read', 'init', 'cpu']) if (spread(times(name, key)) > NOISY) console.log(`noisy: ${key} of ${label(name)}`);
  }
  figure('sdk.init_ratio_to_web_vitals', (init('monitor') / init('web_vitals')).toFixed(2), 'x');
  figure('sdk.init_ratio_to_sentry', (init('monitor') / init('sentry_tracing')).toFixed(2), 'x');
  for (const name of ['web_vitals', 'sentry_tracing']) {
    const ratio = median(times('monitor', 'both')) / median(times(name, 'both'));
    figure(`sdk.script_and_init_ratio_to_${label(name)}`, ratio.toFixed(2), 'x');
  }
  figure('sdk.init_cpu_ratio_to_web_vitals', (cpuOfStart('monitor') / cpuOfStart('web_vitals')).toFixed(2), 'x');
  figure('sdk.init_cpu_ratio_to_sentry', (cpuOfStart('monitor') / cpuOfStart('sentry_tracing')).toFixed(2), 'x');
}

async function reportSessions() {
  const sessions = await measureSessions();
  // Differences within a round: what the bare page needs is no cost of an SDK.
  const extra = (name, key) => sessions[name].map((result, round) => result[key] - sessions.bare[round][key]);
  const plain = (name, key) => median(sessions[name].map((result) => result[key]));
  table([
    ['session', `median of ${SESSION_ROUNDS}`, 'CPU ms', 'beyond bare', 'script beyond bare', 'heap kB beyond bare', 'kB sent', 'requests', 'errors sent'],
    ...Object.keys(sessions).map((name) => [
      label(name), '', shown(sessions[name].map(({cpu}) => cpu), 0), shown(extra(name, 'cpu'), 0), shown(extra(name, 'script'), 0),
      (median(extra(name, 'heap')) / 1024).toFixed(0), (plain(name, 'bytes') / 1024).toFixed(1), plain(name, 'requests'), plain(name, 'errors'),
    ]),
  ]);
  const cpu = (name) => median(extra(name, 'cpu'));
  for (const name of Object.keys(sessions).slice(1)) {
    figure(`sdk.session_cpu_ms.${label(name)}`, cpu(name).toFixed(1), 'ms');
    figure(`sdk.session_heap_kb.${label(name)}`, (median(extra(name, 'heap')) / 1024).toFixed(0), 'kB');
    if (spread(extra(name, 'cpu')) > NOISY) console.log(`noisy: session of ${label(name)}`);
  }
  figure('sdk.session_cpu_ratio_to_sentry', (cpu('monitor') / cpu('sentry_tracing')).toFixed(2), 'x');
}

async function reportViews() {
  const views = await measureViews();
  table([
    ['page view', `median of ${VIEW_ROUNDS}`, 'bytes', 'requests'],
    ...Object.entries(views).map(([name, list]) => [label(name), '', median(list.map(({bytes}) => bytes)), median(list.map(({requests}) => requests))]),
  ]);
  for (const [name, list] of Object.entries(views)) figure(`sdk.bytes_per_page_view.${label(name)}`, median(list.map(({bytes}) => bytes)), 'bytes');
}

async function reportOffline() {
  const offline = {};
  for (const name of ['bare', 'monitor', 'sentry_tracing', 'faro']) offline[name] = await measureOffline(name);
  const kb = (bytes) => Math.round(bytes / 1024);
  const grown = ({heaps}, since) => heaps[2] - heaps[since];
  table([
    ['an hour offline', '', 'heap kB at start', 'after 30 min', 'after 60 min', 'growth', 'beyond bare', 'errors thrown', 'sent when back', 'reported lost'],
    ...Object.entries(offline).map(([name, {heaps: [start, half, end], held, reported, thrown}]) =>
      [label(name), '', kb(start), kb(half), kb(end), kb(end - start), kb(end - start - grown(offline.bare, 0)), thrown, held, reported]),
  ]);
  // The bare page grows, too: the browser keeps errors for its console. What is beyond that is ours.
  figure('sdk.offline_heap_growth_kb', kb(grown(offline.monitor, 0) - grown(offline.bare, 0)), 'kB');
  figure('sdk.offline_heap_growth_second_half_kb', kb(grown(offline.monitor, 1) - grown(offline.bare, 1)), 'kB');
}

const parts = {start: reportStart, session: reportSessions, view: reportViews, offline: reportOffline};
const chosen = process.argv.slice(2);
const load = loadavg()[0];
console.log(`load at start ${load.toFixed(2)}${load > 1 ? ': noisy, the machine does other work' : ''}`);
try {
  for (const [name, report] of Object.entries(parts)) {
    if (chosen.length && !chosen.includes(name)) continue;
    console.log();
    await report();
  }
} finally {
  await browser.close();
  await Promise.all([collector.close(), site.close()]);
}
for (const text of failures) console.error(`not measured: ${text}`);
if (failures.length) process.exitCode = 1;
