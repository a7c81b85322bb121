// The usual Node collector, in its fastest usual form (fastify): parse, validate, enrich each event, append it as a line to
// a log, answer when the log is on disk. Requests that wait together share one fdatasync, as ours do.
import { createHash } from 'node:crypto';
import { closeSync, fdatasync, openSync, write } from 'node:fs';
import Fastify from 'fastify';
import UAParser from 'ua-parser-js';

const [address, file] = process.argv.slice(2);
const [host, port] = address.split(':');
const log = openSync(file, 'a');

let waiting = [];
let writing = false;
const append = (lines) => new Promise((resolve, reject) => {
  waiting.push({ lines, resolve, reject });
  if (!writing) flush();
});
function flush() {
  const group = waiting;
  waiting = [];
  if (group.length === 0) { writing = false; return; }
  writing = true;
  write(log, Buffer.from(group.map((one) => one.lines).join('')), (error) => {
    if (error) { group.forEach((one) => one.reject(error)); return flush(); }
    fdatasync(log, (error) => {
      group.forEach((one) => (error ? one.reject(error) : one.resolve()));
      flush();
    });
  });
}

const userAgents = new Map();
function device(header = '') {
  let known = userAgents.get(header);
  if (!known) {
    const { browser, os, device } = new UAParser(header).getResult();
    known = { browser: browser.name, browser_version: browser.version, os: os.name, device: device.type ?? 'desktop' };
    if (userAgents.size < 4096) userAgents.set(header, known);
  }
  return known;
}
const secret = /([?&#](?:[^=&]*(?:token|password|secret|key|auth|email)[^=&]*)=)[^&#\s"]*/gi;

const app = Fastify({ bodyLimit: 1 << 20 });
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
  try { done(null, JSON.parse(body)); } catch (error) { error.statusCode = 400; done(error); }
});
app.post('/api/:project/events', async (request, reply) => {
  const envelope = request.body;
  if (envelope?.v !== 1 || !Array.isArray(envelope.events)) return reply.code(400).send({ error: 'not an envelope' });
  const received = Date.now();
  const shared = {
    project: request.params.project, received, release: envelope.release, environment: envelope.environment,
    session: envelope.session?.id, visitor: envelope.session?.visitor, ...device(request.headers['user-agent']),
    url: envelope.page?.url?.replace(secret, '$1[scrubbed]'), route: envelope.page?.route, ip: request.ip.replace(/\.\d+$/, '.0'),
  };
  const rejected = [];
  let lines = '';
  envelope.events.forEach((event, index) => {
    if (typeof event?.kind !== 'string') { rejected.push({ index, code: 'missing_kind' }); return; }
    if (event.kind === 'error') {
      event.fingerprint = createHash('md5').update(`${event.name}${event.data?.stack?.replace(/:\d+/g, '') ?? event.data?.message}`).digest('hex');
    }
    lines += JSON.stringify({ ...shared, ...event }) + '\n';
  });
  await append(lines);
  return reply.code(202).send({ accepted: envelope.events.length - rejected.length, rejected });
});
await app.listen({ host, port: Number(port) });
console.log(`ready ${address}`);
process.on('SIGTERM', () => { closeSync(log); process.exit(0); });
