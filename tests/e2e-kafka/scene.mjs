// Everything that stands between a page and the query API, as real processes: nginx, two receivers, Kafka, two consumers, the engine.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freeAddress } from '../free-port.mjs';
import { startKafka } from './kafka.mjs';
import { startNginx } from './nginx.mjs';
import { start, stopAll, until } from './process.mjs';

const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const built = process.env.MONITOR_BUILT ?? join(root, 'target/debug');
const KEY = 'demo-key';
const TOKEN = 'token-of-readers';
const [USER, PASSWORD] = ['monitor_writer', 'password-of-writers'];

export const TOPICS = ['monitor.errors', 'monitor.performance', 'monitor.behavior'];
export const DEAD_LETTERS = 'monitor.dead-letters';
export const GROUP = 'monitor';
export const PARTITIONS = 12;

/** Starts all of it; takes about ten seconds, most of them Java's. When something does not start, what did is ended. */
export async function startScene() {
  const folder = mkdtempSync(join(tmpdir(), 'monitor-e2e-kafka-'));
  try {
    return await startIn(folder);
  } catch (error) {
    await stopAll();
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(folder) {
  const place = (name) => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name);
  };
  const [kafka, clickhouse] = await Promise.all([
    startKafka({ lib: process.env.KAFKA_LIB ?? join(root, 'target/kafka/lib'), folder: place('kafka') }),
    startEngine(place('engine')),
  ]);

  // The file that compose gives to receivers and consumers, with a second project; what is different here comes from the environment.
  const configuration = join(folder, 'monitor.toml');
  writeFileSync(configuration, `${deployed()}\n[[projects]]\nid = "load"\nkey = "load-key"\nmax_events_per_second = 1000000\n`);
  const common = {
    MONITOR__KAFKA__BROKERS: kafka.brokers,
    MONITOR__HTTP__TRUSTED_PROXIES: '127.0.0.1/32',
    MONITOR__HTTP__REQUESTS_PER_SECOND_PER_CLIENT: '0',
    MONITOR__SPOOL__MIN_FREE_MIB: '16',
    MONITOR__CONSUMER__LINGER_MS: '300',
    MONITOR__CLICKHOUSE__URL: clickhouse,
    // The engine knows one user.
    MONITOR__CLICKHOUSE__USER: USER,
    MONITOR__CLICKHOUSE__PASSWORD: PASSWORD,
    MONITOR__CLICKHOUSE__READER: USER,
    MONITOR__CLICKHOUSE__READER_PASSWORD: PASSWORD,
    MONITOR__QUERY__TOKEN: TOKEN,
  };
  const program = (name, example, environment, ...args) =>
    start(name, join(built, 'examples', example), ['--config', configuration, ...args], { env: { ...common, ...environment }, cwd: folder });

  /** Makes the topics, by the operator's command. */
  async function createTopics(environment = {}) {
    const command = program('create-topics', 'kafka_pipeline', environment, 'create-topics');
    assert.equal(await command.ended, 0, command.said());
  }

  /** A receiver that can be stopped and started again on the same addresses and spool. */
  async function newReceiver(name, environment = {}) {
    const [listen, internal] = [await freeAddress(), await freeAddress()];
    const settings = { MONITOR__HTTP__LISTEN: listen, MONITOR__HTTP__INTERNAL: internal, MONITOR__SPOOL__PATH: place(name), ...environment };
    const receiver = {
      name,
      address: listen,
      url: `http://${listen}`,
      async start() {
        receiver.process = program(name, 'kafka_pipeline', settings);
        await receiver.process.says('ready');
      },
      stop: (signal) => receiver.process.stop(signal),
      /** Until all that it took over has reached Kafka. */
      drained: () => until(`the spool of ${name} is empty`, async () => await metric(`http://${internal}`, 'monitor_spool_events') === 0),
    };
    await receiver.start();
    return receiver;
  }

  async function newConsumer(name) {
    const [listen, internal] = [await freeAddress(), await freeAddress()];
    const consumer = { name, address: listen };
    consumer.process = program(name, 'consumer', { MONITOR__QUERY__LISTEN: listen, MONITOR__QUERY__INTERNAL: internal });
    await consumer.process.says('ready');
    return consumer;
  }

  await createTopics();
  const [first, second, ...consumers] = await Promise.all([newReceiver('receiver-1'), newReceiver('receiver-2'), newConsumer('consumer-1'), newConsumer('consumer-2')]);
  const receivers = [first, second];
  const [front, readers] = [await freeAddress(), await freeAddress()];
  const addresses = (list) => list.map(({ address }) => address);
  const proxy = await startNginx({ folder: place('nginx'), front, readers, receivers: addresses(receivers), consumers: addresses(consumers) });

  /** All events of a project, or those of one release. */
  async function events(project, release) {
    const now = Date.now();
    const filters = release ? [{ field: 'release', op: 'in', values: [release] }] : [];
    const question = { project, from: now - 3_600_000, to: now + 60_000, filters, order: 'oldest', limit: 10_000 };
    const found = [];
    for (let cursor = null; ;) {
      const answer = await fetch(`http://${readers}/query/events`, {
        method: 'POST',
        body: JSON.stringify({ ...question, cursor }),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
      });
      assert.equal(answer.status, 200, await answer.clone().text());
      const { events: some, next } = await answer.json();
      found.push(...some);
      if (!next) return found;
      cursor = next;
    }
  }

  const lag = await kafka.lagOf(GROUP, TOPICS);

  /** Until nothing is on the way any more: no spool holds an event, and the group has committed all that Kafka has. */
  async function settled() {
    await Promise.all(receivers.map((receiver) => receiver.drained()));
    await until('the consumers have written everything', async () => {
      const messages = await lag();
      if (messages > 0) throw new Error(`${messages} messages are left`);
      return true;
    }, { within: 60_000 });
  }

  return {
    folder,
    kafka,
    receivers,
    consumers,
    proxy,
    front: `http://${front}`,
    readers: `http://${readers}`,
    dsn: `http://${KEY}@${front}/shop`,
    createTopics,
    newReceiver,
    events,
    settled,
    /** Waits for `enough`, then for what comes too much; gives all events. */
    async eventually(project, enough, release) {
      await until('enough events are queryable', async () => enough(await events(project, release)), { within: 60_000, every: 200 });
      await settled();
      return events(project, release);
    },
    async stop() {
      const bad = await stopAll();
      rmSync(folder, { recursive: true, force: true });
      return bad;
    },
  };
}

/** `monitor.toml` as it stands in compose.yaml. */
function deployed() {
  const lines = readFileSync(join(root, 'deploy/compose.yaml'), 'utf8').split('\n');
  const begin = lines.findIndex((line) => line.trim() === 'content: |') + 1;
  const end = lines.findIndex((line, number) => number > begin && /^ {0,5}\S/.test(line));
  assert.ok(begin > 0 && end > begin, 'deploy/compose.yaml has monitor.toml');
  return lines.slice(begin, end).map((line) => line.slice(6)).join('\n');
}

async function startEngine(folder) {
  const args = ['serve', '--path', folder, '--listen', '127.0.0.1:0', '--user', USER, '--ignore-stdin'];
  const engine = start('engine', join(built, 'monitor-engine'), args, { env: { MONITOR_ENGINE_PASSWORD: PASSWORD } });
  await engine.says('listening ');
  return `http://${engine.said().match(/listening (\S+)/)[1]}`;
}

/** The sum of a metric over its labels; undefined while there is none. */
async function metric(internal, name) {
  const text = await (await fetch(`${internal}/metrics`)).text();
  const values = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)).map((line) => Number(line.split(' ').at(-1)));
  return values.length ? values.reduce((sum, value) => sum + value, 0) : undefined;
}
