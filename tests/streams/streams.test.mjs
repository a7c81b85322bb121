// The jobs for other engines, run by those engines: our receiver writes events to a real broker, Flink and Spark read them
// there, and their minutes must be those that our query API gives for the same events.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../free-port.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const target = join(root, 'target/streams');
const data = join(target, 'run');
const kafkaJars = join(process.env.MONITOR_KAFKA ?? join(root, 'target/kafka/lib'), '*');
const examples = process.env.MONITOR_EXAMPLES ?? join(root, 'target/debug/examples');

const MINUTE = 60_000;
const TOPICS = ['monitor.errors', 'monitor.performance', 'monitor.behavior'];
const KEYS = { shop: 'shop-key', blog: 'blog-key' };

// ---- Processes ------------------------------------------------------------------------------------------------------

/** Those that run until the end, in the order they were started. */
const running = [];

const ended = (child) => new Promise((done) => { if (child.exitCode === null && child.signalCode === null) child.once('exit', done); else done(); });
const logOf = (name) => join(data, `${name}.log`);
const lastLines = (name) => readFileSync(logOf(name), 'utf8').split('\n').slice(-40).join('\n');

/** Starts a program that stays; returns when a line of its output says so. Everything it writes is kept in a log. */
async function start(name, command, args, isReady) {
  const log = openSync(logOf(name), 'w');
  const child = spawn(command, args, { cwd: data, stdio: ['ignore', 'pipe', log] });
  running.push({ name, child });
  let output = '';
  await new Promise((ready, failed) => {
    const late = setTimeout(() => failed(new Error(`${name} is not ready after a minute:\n${output}${lastLines(name)}`)), MINUTE);
    child.once('error', failed);
    child.once('exit', (code) => failed(new Error(`${name} ended with ${code}:\n${output}${lastLines(name)}`)));
    child.stdout.on('data', (text) => {
      output += text;
      if (isReady.test(output)) { clearTimeout(late); ready(); }
    });
  });
}

/** For programs that live for seconds. */
const QUICK = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** Runs a program to its end, which must come within minutes, and gives what it wrote. */
async function run(name, command, args, { input, env } = {}) {
  const log = openSync(logOf(name), 'w');
  const child = spawn(command, args, { cwd: data, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', log] });
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  const output = [];
  child.stdout.on('data', (text) => output.push(text));
  const late = setTimeout(() => child.kill('SIGKILL'), 5 * MINUTE);
  const code = await new Promise((done, failed) => { child.once('error', failed); child.once('close', done); });
  clearTimeout(late);
  const text = Buffer.concat(output).toString();
  if (code !== 0) throw new Error(`${name} ended with ${code}:\n${text.slice(-2000)}\n${lastLines(name)}`);
  return text;
}

// ---- The broker -----------------------------------------------------------------------------------------------------

let brokers;

async function startBroker() {
  const [port, controller] = [await freePort(), await freePort()];
  brokers = `127.0.0.1:${port}`;
  const settings = join(data, 'broker.properties');
  writeFileSync(settings, `
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://${brokers},CONTROLLER://127.0.0.1:${controller}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:${controller}
log.dirs=${join(data, 'broker')}
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
`);
  const java = [...QUICK, '-Xmx384m', `-Dlog4j2.configurationFile=${join(root, 'tests/kafka/log4j2.xml')}`, '-cp', kafkaJars];
  await run('broker-format', 'java', [...java, 'kafka.tools.StorageTool', 'format', '--standalone', '-t', 'c3RyZWFtcy1mb3ItdGVzdA', '-c', settings]);
  await start('broker', 'java', [...java, 'kafka.Kafka', settings], /Kafka Server started/);
}

const records = (name, args, input) => run(name, 'java', [...QUICK, '-Xmx256m', '-cp', kafkaJars, join(here, 'Records.java'), ...args], { input });

/** Everything that is in topics: `[{topic, key, value}]`, as texts. */
async function readTopics(...topics) {
  const lines = (await records('read', ['read', brokers, ...topics])).split('\n').filter(Boolean);
  return lines.map((line) => line.split('\t')).map(([topic, key, value]) => ({ topic, key, value }));
}

const writeTopics = (messages) =>
  records('write', ['write', brokers], messages.map(({ topic, key, value }) => `${topic}\t${key}\t${value}\n`).join(''));

// ---- Events ---------------------------------------------------------------------------------------------------------

/** Numbers below 1, the same in every run. */
function chance(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = chance(20261121);
const below = (n) => Math.floor(random() * n);
const oneOf = (...list) => list[below(list.length)];
const hex = (digits) => Array.from({ length: digits }, () => below(16).toString(16)).join('');

const now = Date.now();
const to = now - (now % MINUTE) + 2 * MINUTE;
const from = to - 31 * 60 * MINUTE;

/** What values look like, and the largest that can be true. */
const VALUES = {
  LCP: [5000, 60_000], FCP: [5000, 60_000], TTFB: [2000, 60_000], INP: [600, 60_000], CLS: [1, 100], navigation: [9000, 600_000], longtask: [400, 600_000],
  script: [900, 3_600_000], fetch: [900, 3_600_000], xhr: [900, 3_600_000], time_on_page: [1e5, 604_800_000], scroll_depth: [100, 100], banner: [1, 1],
  custom: [1e6, Infinity], checkout: [1e6, Infinity],
};
const NAMES = {
  vital: ['LCP', 'FCP', 'TTFB', 'INP', 'CLS', 'custom'], navigation: ['navigation'], longtask: ['longtask'], resource: ['script'], request: ['fetch', 'xhr'],
  time_on_page: ['time_on_page'], scroll_depth: ['scroll_depth'], exposure: ['banner'], error: ['TypeError', 'Zeichen „ü“ 🛒'], message: ['warning'],
  page_view: ['page_view'], click: ['click'], track: ['checkout', 'LCP'], ab_test: ['ab_test'],
};

/** An event that a page could send; now and then with a value that cannot be true. */
function event() {
  const kind = oneOf('vital', 'vital', 'vital', ...Object.keys(NAMES));
  const name = oneOf(...NAMES[kind]);
  const made = { id: hex(32), kind, name, time: now - below(15 * MINUTE), data: {} };
  if (below(50) === 0) made.time -= 30 * 60 * MINUTE;
  const [usual, largest] = VALUES[name] ?? [];
  if (usual) made.value = random() * usual;
  if (usual && below(8) === 0) made.value = oneOf(-0.5, 0, Math.min(largest, 1e12), Math.min(largest, 1e12) + 0.5);
  if (below(10) === 0) made.weight = oneOf(2, 10, 3.5, 1.125, 4096);
  return made;
}

/** Every event that was accepted, by project and id. */
const sent = new Map();

function envelopes(n) {
  return Array.from({ length: n }, (_, i) => {
    const project = oneOf('shop', 'shop', 'blog');
    const events = Array.from({ length: 1 + below(30) }, event);
    // The same ids in the other project are other events.
    const other = i % 50 === 0 ? [{ project: project === 'shop' ? 'blog' : 'shop', events }] : [];
    return [{ project, events }, ...other];
  }).flat().map(({ project, events }) => ({
    project,
    body: {
      v: 1,
      sdk: { name: 'streams', version: '1' },
      page: { id: hex(32), url: 'https://shop.example/cart', route: '/cart' },
      session: { id: hex(32), visitor: below(10) ? `visitor-${below(60)}` : undefined },
      release: '1.4.0',
      events,
    },
  }));
}

async function post(base, { project, body }) {
  for (;;) {
    const answer = await fetch(`${base}/api/${project}/events?key=${KEYS[project]}`, { method: 'POST', body: JSON.stringify({ ...body, sent_at: Date.now() }) });
    const text = await answer.text();
    if (answer.status === 429) {
      await sleep(1000 * Number(answer.headers.get('retry-after') ?? 1));
      continue;
    }
    assert.equal(answer.status, 202, text);
    assert.equal(JSON.parse(text).accepted, body.events.length, text);
    for (const { id } of body.events) sent.set(`${project} ${id}`, true);
    return;
  }
}

/** What no receiver writes, but somebody could. */
function strangeMessages(sample) {
  const good = JSON.parse(sample.value);
  const id = () => hex(32);
  const changed = (change) => JSON.stringify({ ...good, id: id(), name: 'strange', ...change });
  return [
    'not JSON', '', '[]', '5', 'null', '{"id":', '{}',
    changed({ id: undefined }), changed({ id: '' }), changed({ id: '12' }),
    changed({ project: undefined }), changed({ project: '' }),
    changed({ kind: undefined }), changed({ kind: '' }),
    changed({ time: undefined }), changed({ time: null }),
    // Before and after any time that a receiver lets pass.
    changed({ time: 0 }), changed({ time: good.received - 9 * 24 * 60 * MINUTE }), changed({ time: 9e15 }),
    changed({ time: good.received + 24 * 60 * MINUTE }), changed({ time: 4e12, received: 4e12 }),
    // Later than minutes are remembered.
    changed({ time: good.received - 4 * 24 * 60 * MINUTE }),
    changed({ weight: 0 }), changed({ weight: -3 }),
  ].map((value) => ({ ...sample, value }));
}

// ---- Our answer -----------------------------------------------------------------------------------------------------

let query;

async function ask(path, question) {
  const answer = await fetch(`${query}${path}`, { method: 'POST', body: JSON.stringify(question), headers: { 'content-type': 'application/json' } });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

const rowKey = ({ project, time, kind, name }) => JSON.stringify([project, time, kind, name]);

async function allEvents(project) {
  const events = [];
  let cursor = null;
  do {
    const page = await ask('/query/events', { project, from, to, order: 'oldest', limit: 10_000, cursor });
    events.push(...page.events);
    cursor = page.next;
  } while (cursor);
  return events;
}

/** The minutes as the query API gives them; what it rounds or does not give is added from its events. */
async function ourMinutes() {
  const minutes = new Map();
  for (const project of Object.keys(KEYS)) {
    const { columns, rows } = await ask('/query', {
      project, from, to, step: MINUTE, group_by: ['kind', 'name'], measures: ['count', 'sum', 'avg', 'min', 'max', 'visitors'], limit: 10_000,
    });
    for (const row of rows) {
      const minute = { project, ...Object.fromEntries(columns.map((column, i) => [column, row[i]])), weight: 0, value_count: 0 };
      minutes.set(rowKey(minute), minute);
    }
    for (const { time, kind, name, value, weight = 1 } of await allEvents(project)) {
      const minute = minutes.get(rowKey({ project, time: time - (time % MINUTE), kind, name }));
      minute.weight += weight;
      if (value !== null) minute.value_count += weight;
    }
  }
  return minutes;
}

// ---- The jobs -------------------------------------------------------------------------------------------------------

const OPENED = ['java.lang', 'java.util', 'java.time', 'java.net', 'java.util.concurrent'].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`);

/** Flink's own SQL client on the file that a user gives it. */
async function runFlink(name, variables) {
  const job = join(data, `${name}.sql`);
  const sql = await run(`${name}-render`, join(root, 'deploy/flink/render'), [], { env: { BROKERS: brokers, BOUNDED: 'latest-offset', WAIT: 'true', CHECKPOINT_INTERVAL: '1 s', WRITE_EVERY: '1 s', ...variables } });
  writeFileSync(job, sql);
  const output = await run(name, 'java', [
    ...QUICK, '-Xmx768m', ...OPENED, `-Dlog4j2.configurationFile=${join(here, 'log4j2.xml')}`, `-Djava.io.tmpdir=${data}`,
    '-cp', join(target, 'flink/*'), 'org.apache.flink.table.client.SqlClient', 'embedded', '-hist', join(data, 'history'), '-f', job,
  ], { env: { FLINK_CONF_DIR: join(here, 'flink') } });
  // It ends with 0 in any case.
  assert.ok(output.includes('Complete execution of the SQL update statement') && !output.includes('[ERROR]'), `${output}\n${lastLines(name)}`);
  return output;
}

const sparkSubmit = (name, args) => run(name, join(target, 'venv/bin/spark-submit'), [
  '--master', 'local[2]', '--driver-memory', '768m', '--driver-java-options', QUICK.join(' '),
  '--jars', readdirSync(join(target, 'spark')).filter((file) => file.endsWith('.jar')).map((file) => join(target, 'spark', file)).join(','),
  '--conf', 'spark.ui.enabled=false', '--conf', 'spark.sql.shuffle.partitions=2', '--conf', `spark.local.dir=${data}`,
  join(root, 'deploy/spark/minute_aggregates.py'), '--brokers', brokers, '--once', ...args,
], { env: { SPARK_LOCAL_IP: '127.0.0.1', PYSPARK_PYTHON: join(target, 'venv/bin/python'), SPARK_HOME: undefined } });

/** What a reader of the topic has in the end: the last message of each key. */
async function minutesOf(topic) {
  const minutes = new Map();
  for (const { key, value } of await readTopics(topic)) {
    const minute = JSON.parse(value);
    assert.deepEqual(JSON.parse(key), Object.fromEntries(['project', 'time', 'kind', 'name'].map((column) => [column, minute[column]])));
    minutes.set(rowKey(minute), minute);
  }
  return minutes;
}

function near(a, b) {
  if (a === null || a === undefined || b === null || b === undefined) return (a ?? null) === (b ?? null);
  return Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));
}

function assertSame(theirs, ours) {
  const differences = [];
  for (const [key, our] of ours) {
    const their = theirs.get(key);
    if (!their) { differences.push(`${key} is missing`); continue; }
    const pairs = {
      weight: [their.count, our.weight],
      value_count: [their.value_count, our.value_count],
      sum: [their.sum, our.sum],
      avg: [their.value_count ? their.sum / their.value_count : null, our.avg],
      min: [their.min, our.min],
      max: [their.max, our.max],
      visitors: [their.visitors, our.visitors],
    };
    // Our count is rounded to a whole number.
    if (Math.abs(their.count - our.count) > 0.5) differences.push(`${key} count: ${their.count}, and ${our.count} with us`);
    for (const [measure, [a, b]] of Object.entries(pairs)) if (!near(a, b)) differences.push(`${key} ${measure}: ${a}, and ${b} with us`);
  }
  for (const key of theirs.keys()) if (!ours.has(key)) differences.push(`${key} is not with us`);
  assert.equal(differences.length, 0, `${differences.length} differences in ${ours.size} minutes:\n${differences.slice(0, 20).join('\n')}`);
}

// ---- The test -------------------------------------------------------------------------------------------------------

let ours;

/** The receiver, which writes to the broker, and the consumer, which reads there and answers questions. */
async function startRoad() {
  const [listen, internal, queryListen, queryInternal] = await Promise.all([1, 2, 3, 4].map(freePort));
  const config = join(data, 'kafka.toml');
  writeFileSync(config, `
[http]
listen = "127.0.0.1:${listen}"
internal = "127.0.0.1:${internal}"
requests_per_second_per_client = 0
[query]
listen = "127.0.0.1:${queryListen}"
internal = "127.0.0.1:${queryInternal}"
[spool]
path = "${join(data, 'spool')}"
${Object.entries(KEYS).map(([id, key]) => `[[projects]]\nid = "${id}"\nkey = "${key}"\nmax_events_per_second = 1000000\n`).join('')}
[kafka]
brokers = "${brokers}"
partitions = 3
replication = 1
[clickhouse]
embedded = "${join(data, 'clickhouse')}"
`);
  await run('create-topics', join(examples, 'kafka_pipeline'), ['--config', config, 'create-topics']);
  await start('receiver', join(examples, 'kafka_pipeline'), ['--config', config], /ready/);
  await start('consumer', join(examples, 'consumer'), ['--config', config], /ready/);
  query = `http://127.0.0.1:${queryListen}`;
  return `http://127.0.0.1:${listen}`;
}

async function settled(what, isSo) {
  const deadline = Date.now() + 2 * MINUTE;
  for (;;) {
    const state = await isSo();
    if (state === true) return;
    if (Date.now() > deadline) throw new Error(`${what}: ${state} after two minutes`);
    await sleep(500);
  }
}

/** Sends envelopes; returns every message when all their events are in the topics. */
async function send(receiver, envelopes) {
  for (const envelope of envelopes) await post(receiver, envelope);
  // As after an answer that was lost.
  for (const envelope of envelopes.filter((_, i) => i % 5 === 0)) await post(receiver, { ...envelope, body: { ...envelope.body, attempt: 2 } });
  let messages;
  await settled('events in the topics', async () => {
    messages = await readTopics(...TOPICS);
    const found = new Set(messages.map(({ value }) => JSON.parse(value)).map(({ project, id }) => `${project} ${id}`)).size;
    return found === sent.size || `${found} of ${sent.size}`;
  });
  return messages;
}

const runSpark = (name) => sparkSubmit(name, ['--checkpoint', join(data, 'spark-checkpoint'), '--to-topic', 'minutes.spark', '--to-files', join(data, 'spark-files')]);

before(async () => {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true });
  await startBroker();
  const receiver = await startRoad();

  await send(receiver, envelopes(150));
  // It stops here, and goes on later with what it remembers.
  await runSpark('spark-first-half');

  const messages = await send(receiver, envelopes(150));
  // As after a batch that was written again, byte for byte.
  const copies = messages.filter((_, i) => i % 7 === 0);
  await writeTopics([...copies, ...strangeMessages(messages.at(-1))]);
  await settled('events that can be queried', async () => {
    const found = (await Promise.all(Object.keys(KEYS).map(allEvents))).flat().length;
    return found === sent.size || `${found} of ${sent.size}`;
  });
  ours = await ourMinutes();
});

after(async () => {
  for (const { name, child } of running.reverse()) {
    child.kill('SIGTERM');
    await ended(child);
    assert.ok(child.exitCode === 0 || name === 'broker', `${name} ends with 0 after SIGTERM, not ${child.exitCode}`);
  }
});

test('there is something of everything', () => {
  const minutes = [...ours.values()];
  assert.ok(minutes.length > 300, `${minutes.length} minutes`);
  for (const kind of ['vital', 'navigation', 'longtask', 'resource', 'request', 'time_on_page', 'scroll_depth']) {
    const some = minutes.filter((minute) => minute.kind === kind);
    assert.ok(some.some(({ weight, value_count }) => value_count < weight) && some.some(({ sum }) => sum > 0), `values of ${kind} that can be true, and that cannot`);
  }
  assert.ok(minutes.some(({ weight }) => weight % 1 !== 0) && minutes.some(({ visitors }) => visitors > 1), 'weights and visitors');
});

test('the minutes of the Flink job are those of the query API', async () => {
  await runFlink('flink', { MINUTES: 'minutes.flink' });
  assertSame(await minutesOf('minutes.flink'), ours);
});

test('the minutes of the Spark job are those of the query API, also when it was stopped in between', async () => {
  const before = (await readTopics('minutes.spark')).length;
  await runSpark('spark-second-half');
  const minutes = await minutesOf('minutes.spark');
  assertSame(minutes, ours);
  assert.ok(before > 0 && before < minutes.size, `${before} minutes of the first half`);

  const files = new Map();
  for (const file of readdirSync(join(data, 'spark-files'), { recursive: true }).filter((file) => file.endsWith('.json')).sort()) {
    for (const line of readFileSync(join(data, 'spark-files', file), 'utf8').split('\n').filter(Boolean)) {
      const minute = JSON.parse(line);
      files.set(rowKey(minute), minute);
    }
  }
  assertSame(files, ours);
});
