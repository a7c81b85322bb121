// A real Apache Kafka broker of one node (KRaft), and Kafka's own tools to look into it.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freeAddress } from '../free-port.mjs';
import { started } from './process.mjs';

const lag = fileURLToPath(new URL('Lag.java', import.meta.url));
const logging = fileURLToPath(new URL('../kafka/log4j2.xml', import.meta.url));
// Small and quick to start: these programs do little.
const JVM = ['-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', `-Dlog4j2.configurationFile=${logging}`];

/** Formats a folder and starts a broker in it. `lib` is the folder with Kafka's jars. */
export async function startKafka({ lib, folder }) {
  if (!existsSync(lib)) throw new Error(`no Kafka in ${lib}: run \`make kafka\`, or say with KAFKA_LIB where its jars are`);
  mkdirSync(folder, { recursive: true });
  const [brokers, controller] = await Promise.all([freeAddress(), freeAddress()]);
  const properties = join(folder, 'server.properties');
  writeFileSync(properties, [
    'process.roles=broker,controller',
    'node.id=1',
    `listeners=PLAINTEXT://${brokers},CONTROLLER://${controller}`,
    `advertised.listeners=PLAINTEXT://${brokers}`,
    'controller.listener.names=CONTROLLER',
    `controller.quorum.bootstrap.servers=${controller}`,
    `log.dirs=${join(folder, 'logs')}`,
    'auto.create.topics.enable=false',
    // What one node must be told.
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=4',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'group.initial.rebalance.delay.ms=100',
  ].join('\n'));

  const java = (...args) => spawn('java', [...JVM, '-cp', join(lib, '*'), ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  /** Runs a program to its end; gives its output. */
  const run = (...args) => new Promise((done, failed) => {
    const child = java(...args);
    const out = [];
    const complaints = [];
    child.stdout.on('data', (piece) => out.push(piece));
    child.stderr.on('data', (piece) => complaints.push(piece));
    child.once('error', failed);
    child.once('close', (code) => {
      if (code === 0) done(Buffer.concat(out).toString());
      else failed(new Error(`java ${args.join(' ')} ended with ${code}: ${Buffer.concat([...out, ...complaints]).toString().slice(-4_000)}`));
    });
  });

  await run('kafka.tools.StorageTool', 'format', '--standalone', '--cluster-id', 'AAAAAAAAAAAAAAAAAAAAAA', '--config', properties);
  const broker = started(java('kafka.Kafka', properties), 'kafka');

  const tool = (name, ...args) => run(`org.apache.kafka.tools.${name}`, '--bootstrap-server', brokers, ...args);

  const kafka = {
    brokers,
    broker,
    classpath: join(lib, '*'),
    run,

    /** How many records each partition of the topics has: `{'monitor.errors': [3, 0, …]}`. */
    async sizes(...topics) {
      const text = await tool('GetOffsetShell', '--topic', topics.map((topic) => topic.replaceAll('.', '\\.')).join('|'));
      const sizes = Object.fromEntries(topics.map((topic) => [topic, []]));
      for (const line of text.trim().split('\n')) {
        const [topic, partition, size] = line.split(':');
        if (sizes[topic]) sizes[topic][partition] = Number(size);
      }
      return sizes;
    },

    /** All records of a topic, as Kafka's console consumer prints them: `{partition, offset, headers, key, value}`. */
    async records(topic, count) {
      if (!count) return [];
      const print = ['partition', 'offset', 'headers', 'key', 'value'].flatMap((what) => ['--property', `print.${what}=true`]);
      const text = await tool('consumer.ConsoleConsumer', '--topic', topic, '--from-beginning', '--max-messages', `${count}`, '--timeout-ms', '20000', ...print);
      return text.trimEnd().split('\n').map((line) => {
        const [partition, offset, headers, key, ...value] = line.split('\t');
        return {
          topic,
          partition: Number(partition.replace('Partition:', '')),
          offset: Number(offset.replace('Offset:', '')),
          headers: Object.fromEntries(headers.split(',').map((header) => [header.slice(0, header.indexOf(':')), header.slice(header.indexOf(':') + 1)])),
          key,
          value: value.join('\t'),
        };
      });
    },

    /** A question that can be asked often: how many messages of the topics a group has not committed yet. */
    async lagOf(group, topics) {
      const program = started(java(lag, brokers, group, ...topics), 'Lag.java');
      const answers = createInterface({ input: program.child.stdout })[Symbol.asyncIterator]();
      return async () => {
        program.child.stdin.write('\n');
        const { value, done } = await answers.next();
        if (done) throw new Error(program.said());
        return Number(value);
      };
    },

    /** Who owns which partition of a group, and how far behind it is: `[{topic, partition, lag, owner}]`. */
    async members(group) {
      const text = await tool('consumer.group.ConsumerGroupCommand', '--describe', '--group', group);
      const rows = text.split('\n').map((line) => line.trim().split(/\s+/)).filter(([name]) => name === group);
      return rows.map(([, topic, partition, , , lag, owner]) => ({ topic, partition: Number(partition), lag: lag === '-' ? null : Number(lag), owner }));
    },
  };
  return kafka;
}
