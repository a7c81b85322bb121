// The usual Node collector before Kafka: NestJS on fastify and kafkajs. Parse, check, one message for each event with what its
// envelope says of all of them, answered when the brokers have them (acks=all, zstd). As in our receiver: the same topics, keys
// and headers. No validation beyond the shape, no user agents, no scrubbing, no spool: what is accepted lives in memory until then.
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { BadRequestException, Body, Controller, Dependencies, HttpCode, Module, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import kafkajs from 'kafkajs';

const [address, broker, prefix] = process.argv.slice(2);
const [host, port] = address.split(':');

// kafkajs brings gzip only. Level 3 is librdkafka's default as well. The codec's main package names builds for machines that the
// registry does not have, which `npm ci` does not forgive; where the one for Linux on x64 does not fit it is gzip, which costs more.
function codec() {
  try { return new (createRequire(import.meta.url)('@toondepauw/node-zstd-linux-x64-gnu').Encoder)(3); } catch { return undefined; }
}
const zstd = codec();
const compression = zstd ? kafkajs.CompressionTypes.ZSTD : kafkajs.CompressionTypes.GZIP;
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
  compress: (records) => zstd.encode(records.buffer),
  decompress: () => { throw new Error('nothing is read'); },
});
const kafka = new kafkajs.Kafka({ clientId: 'nest', brokers: [broker], logLevel: kafkajs.logLevel.ERROR });
// kafkajs hashes keys as Java's producer does.
const producer = kafka.producer({ allowAutoTopicCreation: false, createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
await producer.connect();

const topics = new Map([
  ...['error', 'message', 'csp', 'report', 'blank_screen', 'console'].map((kind) => [kind, 'monitor.errors']),
  ...['vital', 'navigation', 'resource', 'request', 'longtask', 'span'].map((kind) => [kind, 'monitor.performance']),
]);

class EventsService {
  async accept(project, envelope) {
    if (envelope?.v !== 1 || !Array.isArray(envelope.events)) throw new BadRequestException('not an envelope');
    const { page, session, release, environment, device, tags, sdk } = envelope;
    const shared = {
      received: Date.now(), project, release, environment, url: page?.url, route: page?.route, referrer: page?.referrer,
      title: page?.title, page: page?.id, session: session?.id, visitor: session?.visitor, user: session?.user?.id, ...device,
      tags, sdk: sdk?.name, sdk_version: sdk?.version,
    };
    const byTopic = new Map();
    const rejected = [];
    envelope.events.forEach((event, index) => {
      if (typeof event?.kind !== 'string') { rejected.push({ index, code: 'missing_kind' }); return; }
      const topic = prefix + (topics.get(event.kind) ?? 'monitor.behavior');
      if (!byTopic.has(topic)) byTopic.set(topic, []);
      byTopic.get(topic).push({
        key: session?.id ?? event.id,
        value: JSON.stringify({ ...event, ...shared }),
        headers: { project, kind: event.kind, schema: '1', 'content-type': 'application/json' },
      });
    });
    const topicMessages = Array.from(byTopic, ([topic, messages]) => ({ topic, messages }));
    await producer.sendBatch({ acks: -1, compression, topicMessages });
    return { accepted: envelope.events.length - rejected.length, rejected };
  }
}

class EventsController {
  constructor(events) { this.events = events; }
  receive(project, envelope) { return this.events.accept(project, envelope); }
}
// What TypeScript makes of decorators.
const method = Object.getOwnPropertyDescriptor(EventsController.prototype, 'receive');
Param('project')(EventsController.prototype, 'receive', 0);
Body()(EventsController.prototype, 'receive', 1);
Post(':project/events')(EventsController.prototype, 'receive', method);
HttpCode(202)(EventsController.prototype, 'receive', method);
Dependencies(EventsService)(EventsController);
Controller('api')(EventsController);
class AppModule {}
Module({ controllers: [EventsController], providers: [EventsService] })(AppModule);

const adapter = new FastifyAdapter({ bodyLimit: 1 << 20 });
const app = await NestFactory.create(AppModule, adapter, { logger: ['error'], bodyParser: false });
// Beacons come as text/plain.
for (const type of ['application/json', 'text/plain']) {
  adapter.getInstance().removeContentTypeParser(type);
  adapter.getInstance().addContentTypeParser(type, { parseAs: 'string' }, (_request, body, done) => {
    try { done(null, JSON.parse(body)); } catch (error) { error.statusCode = 400; done(error); }
  });
}
await app.listen(Number(port), host);
if (!zstd) console.error('compresses with gzip: no zstd for this machine');
console.log(`ready ${address}`);
process.on('SIGTERM', () => process.exit(0));
