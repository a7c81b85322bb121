// What is lost and doubled when the way to the collector breaks. In each situation a page throws 20 different errors, 100 ms
// apart, in real Chromium; afterwards it stays open as long as anything still arrives, and is left as users leave pages.
// Ours goes to the real receiver, and counts what the query API returns; the others go to a collector that stores as their
// backends do. Fails when ours loses or doubles anything. Names of SDKs and situations as arguments choose some of them; with
// TRACE=1 every request that carried an error is printed.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium} from 'playwright-core';
import {bundle} from './bundle.mjs';
import {running} from './entries.mjs';
import {errorsOf, lossesOf} from './formats.mjs';
import {cors, executablePath, figure, flags, leave, serve, sleep, startReceiver, table, textOf, until} from './harness.mjs';

const ERRORS = 20;
const APART = 100;
/**
 * ms for which a page stays open after the last sign of progress, and at most. Waits of ours can be longer after an outage of 8 s, but
 * end when the page is left.
 */
const PATIENCE = 18_000;
const OPEN_AT_MOST = 40_000;
/** Pages at a time. */
const PARALLEL = 6;

/**
 * What happens to a request that carries events, by how long ago (ms) the first request with an error came; `count` is its number.
 * `answer`: status and headers; `reset`: the connection breaks before it was read; `drop`: it is stored and the connection breaks before the answer.
 */
const situations = {
  // Without a fault nothing may be missing anywhere: otherwise the measurement is wrong.
  healthy: () => false,
  unavailable_1s: (age) => age < 1_000 && {answer: 503},
  unavailable_8s: (age) => age < 8_000 && {answer: 503},
  rate_limited: (age) => age < 4_000 && {answer: 429, headers: {'retry-after': '2'}},
  reset: (age) => age < 3_000 && {reset: true},
  response_dropped: (_, count) => count === 1 && {drop: true},
  // Until the page was opened again, in a new browser with the same profile.
  closed_during_outage: (_age, _count, reopened) => !reopened && {answer: 503},
  closed_while_unreachable: (_age, _count, reopened) => !reopened && {reset: true},
};

/** How a body is stored, as the backend of each SDK does. */
const stores = {
  // Drops what has an id that it knows.
  sentry: (_receiver, run) => {
    const stored = new Map();
    return {
      stored: async () => [...stored.values()].flatMap((message) => markers(message, run)),
      take(_request, text) {
        for (const {id, message} of errorsOf.sentry(text)) stored.set(id, message);
        return {status: 200, body: '{}'};
      },
    };
  },
  // Keeps every line it is given.
  faro: (_receiver, run) => {
    const stored = [];
    return {
      stored: async () => stored.flatMap((message) => markers(message, run)),
      take(_request, text) {
        stored.push(...errorsOf.faro(text).map(({message}) => message));
        return {status: 202, body: '{}'};
      },
    };
  },
  // The real one.
  monitor: (receiver, run) => ({
    stored: async () => (await receiver.errors(run)).flatMap(({message}) => markers(message, run)),
    async take({method, url, headers}, _text, body) {
      const kept = ['content-type', 'content-encoding', 'user-agent'].filter((name) => headers[name]);
      const answer = await fetch(`http://${receiver.host}${url}`, {
        method, body: method === 'POST' ? body : undefined, headers: Object.fromEntries(kept.map((name) => [name, headers[name]])),
      });
      return {status: answer.status, headers: Object.fromEntries(answer.headers), body: Buffer.from(await answer.arrayBuffer())};
    },
  }),
};
stores.sentry_offline = stores.sentry;

/** The numbers of this run's errors that a text names. */
function markers(text, run) {
  return [...String(text).matchAll(new RegExp(`${run} number (\\d+)\\.`, 'g'))].map(([, n]) => Number(n));
}

async function measure({sdk, situation, browser, receiver, script}) {
  const run = `${sdk}-${situation}-${Math.random().toString(36).slice(2, 8)}`;
  const store = stores[sdk](receiver, run);
  const format = sdk.replace('_offline', '');
  const closes = situation.startsWith('closed_');
  let first;
  let count = 0;
  let reported = 0;
  let reopened = false;
  let inFlight = 0;
  let faults = 0;
  const trace = [];

  const collector = await serve(async (request, response, body) => {
    const text = textOf(request, body);
    const carried = errorsOf[format](text).flatMap(({message}) => markers(message, run));
    const carriesError = carried.length > 0;
    if (carriesError) {
      first ??= performance.now();
      count++;
    }
    const fault = (first !== undefined || closes) && situations[situation](performance.now() - (first ?? 0), carriesError ? count : 0, reopened);
    // Where connections break, a preflight is as far as errors get.
    if (fault && (carriesError || (fault.reset && request.method === 'OPTIONS'))) faults++;
    if (carriesError) trace.push(`${Math.round(performance.now() - first)} ms: ${carried.length} errors ${JSON.stringify(fault)}`);
    if (fault && fault.reset) return request.socket.resetAndDestroy();
    // An overloaded collector still says who may speak to it.
    if (request.method === 'OPTIONS') return response.writeHead(204, cors).end();
    if (fault && fault.answer) return response.writeHead(fault.answer, {...cors, ...fault.headers}).end();
    inFlight++;
    try {
      const answer = await store.take(request, text, body);
      if (answer.status < 300) reported += lossesOf[format](text);
      if (fault && fault.drop) return request.socket.destroy();
      const {'content-type': type = 'application/json', 'retry-after': wait} = answer.headers ?? {};
      response.writeHead(answer.status, {...cors, 'content-type': type, ...(wait && {'retry-after': wait})}).end(answer.body);
    } finally {
      inFlight--;
    }
  });

  const site = await serve((request, response) => {
    const {pathname, search} = new URL(request.url, 'http://site');
    if (pathname === '/sdk.js') return response.setHeader('content-type', 'text/javascript').end(script);
    if (pathname !== '/') return response.writeHead(404).end();
    response.setHeader('content-type', 'text/html').end(`<!doctype html><title>shop</title><h1>Shop</h1><script src="/sdk.js"></script><script>
      let thrown = 0;
      addEventListener('error', () => thrown++);
      start({host: '${collector.host}'});
      if (!'${search}') for (let n = 1; n <= ${ERRORS}; n++) setTimeout(() => { throw new Error('${run} number ' + n + '.'); }, n * ${APART});
    </script>`);
  });

  const distinct = async () => new Set(await store.stored()).size;
  /** Until everything is there, or nothing has come for so long that nothing will. */
  const settle = async (limit, patience) => {
    let best = -1;
    let progress = performance.now();
    await until(async () => {
      const now = await distinct();
      if (now > best) [best, progress] = [now, performance.now()];
      return best === ERRORS || performance.now() - progress > patience;
    }, limit, 500);
    // What would come twice comes soon.
    await sleep(3_000);
  };

  if (closes) {
    const profile = await mkdtemp(join(tmpdir(), 'monitor-profile-'));
    const open = () => chromium.launchPersistentContext(profile, {executablePath, args: flags});
    let context = await open();
    let page = await context.newPage();
    await page.goto(`${site.origin}/`);
    await page.waitForFunction((all) => thrown === all, ERRORS);
    await sleep(1_000);
    await leave(page);
    await sleep(1_000);
    await context.close();
    reopened = true;
    context = await open();
    page = await context.newPage();
    await page.goto(`${site.origin}/?again`);
    await settle(15_000, 10_000);
    await leave(page);
    await sleep(1_500);
    await context.close();
    await rm(profile, {recursive: true, force: true});
  } else {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site.origin}/`);
    await page.waitForFunction((all) => thrown === all, ERRORS);
    await settle(OPEN_AT_MOST, PATIENCE);
    await leave(page);
    await sleep(1_500);
    await context.close();
  }
  await until(() => inFlight === 0, 5_000);
  // The receiver answers when it has stored on disk; the engine has it a moment later.
  if (sdk === 'monitor') await sleep(2_500);
  const stored = await store.stored();
  await Promise.all([collector.close(), site.close()]);
  const kept = new Set(stored).size;
  return {sdk, situation, sent: ERRORS, stored: kept, lost: ERRORS - kept, doubled: stored.length - kept, reported, tries: count, faults, trace};
}

const only = process.argv.slice(2);
const chosen = (name) => only.length === 0 || only.includes(name);
const sdks = Object.keys(stores).filter((sdk) => chosen(sdk) || !only.some((name) => name in stores)).reverse();
const asked = Object.keys(situations).filter((situation) => chosen(situation) || !only.some((name) => name in situations));

const scripts = new Map(await Promise.all(sdks.map(async (sdk) => [sdk, await bundle({code: running[sdk]}, 'iife')])));
const receiver = sdks.includes('monitor') ? await startReceiver() : undefined;
const browser = await chromium.launch({executablePath, args: flags});
const results = [];
try {
  // The longest first, so that the end is not one page alone.
  const tasks = asked.flatMap((situation) => sdks.map((sdk) => ({sdk, situation, browser, receiver, script: scripts.get(sdk)})));
  const worker = async () => {
    for (let task = tasks.shift(); task; task = tasks.shift()) results.push(await measure(task));
  };
  await Promise.all(Array.from({length: PARALLEL}, worker));
} finally {
  await browser.close();
  await receiver?.stop();
}

const order = ({sdk, situation}) => asked.indexOf(situation) * 10 + sdks.indexOf(sdk);
results.sort((a, b) => order(a) - order(b));
table([
  ['situation', 'sdk', 'thrown', 'stored', 'lost', 'doubled', 'reported lost', 'requests with errors', 'faults met'],
  ...results.map((result) => ['situation', 'sdk', 'sent', 'stored', 'lost', 'doubled', 'reported', 'tries', 'faults'].map((key) => result[key])),
]);
// A fault that never met an error, or a loss without a fault, says nothing about an SDK, only that this program is wrong.
const invalid = results.filter(({situation, faults, lost, doubled}) => (situation === 'healthy' ? lost || doubled : !faults));
for (const {sdk, situation} of invalid) console.error(`not measured: ${sdk} ${situation}`);
if (invalid.length) process.exitCode = 1;
if (process.env.TRACE) for (const {sdk, situation, trace} of results) console.error(sdk, situation, trace.join(' | '));
for (const {sdk, situation, lost, doubled} of results.filter((result) => !invalid.includes(result))) {
  figure(`loss.${sdk}.${situation}.lost`, lost, 'events');
  figure(`loss.${sdk}.${situation}.doubled`, doubled, 'events');
}
if (results.some(({sdk, lost, doubled}) => sdk === 'monitor' && (lost || doubled))) {
  console.error('ours lost or doubled events');
  process.exitCode = 1;
}
