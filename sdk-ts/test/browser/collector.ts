import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {readFile} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {gunzipSync} from 'node:zlib';

export interface ReceivedEvent {
  id: string;
  seq: number;
  time: number;
  kind: string;
  name: string;
  value?: number;
  attributes?: Record<string, string>;
  data?: any;
}

export interface ReceivedEnvelope {
  v: number;
  attempt: number;
  sent_at: number;
  page: {id: string; url: string; route: string; referrer: string; title: string};
  session: {id: string; visitor: string; user?: {id: string}};
  discarded?: {reason: string; kind: string; count: number}[];
  events: ReceivedEvent[];
  [key: string]: unknown;
}

export interface Received {
  method: string;
  url: string;
  contentType: string;
  envelope: ReceivedEnvelope;
  /** The status it was answered with. */
  status: number;
}

/** A page server and a receiver of envelopes in one, which remembers what came in. */
export interface Collector {
  readonly origin: string;
  readonly received: Received[];
  /** Requests that were not for a known path: preflights would be among them. */
  readonly others: string[];
  pages: Record<string, string | ((request: IncomingMessage, response: ServerResponse) => void)>;
  /** Decides the answer to an envelope. */
  answer: (envelope: ReceivedEnvelope) => {status: number; headers?: Record<string, string>; body?: unknown};
  close(): Promise<void>;
}

const script = await readFile(new URL('../../dist/monitor.iife.js', import.meta.url), 'utf8');

export const accepted: Collector['answer'] = ({events}) => ({status: 202, body: {accepted: events.length, rejected: []}});

export async function startCollector(): Promise<Collector> {
  const received: Received[] = [];
  const others: string[] = [];
  const server: Server = createServer((request, response) => void handle(request, response));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const {method = '', url = ''} = request;
    const path = url.replace(/\?.*/, '');
    if (path === '/sdk/monitor.js') {
      response.setHeader('content-type', 'text/javascript').end(script);
    } else if (path === '/api/shop/events' && method === 'POST') {
      const envelope = JSON.parse(await bodyOf(request)) as ReceivedEnvelope;
      const {status, headers = {}, body = {}} = collector.answer(envelope);
      received.push({method, url, contentType: request.headers['content-type'] ?? '', envelope, status});
      response.writeHead(status, {
        'access-control-allow-origin': '*',
        'access-control-expose-headers': 'retry-after',
        'content-type': 'application/json',
        ...headers,
      });
      response.end(JSON.stringify(body));
    } else if (collector.pages[path] !== undefined) {
      const page = collector.pages[path];
      if (typeof page === 'function') page(request, response);
      else response.setHeader('content-type', 'text/html; charset=utf-8').end(page);
    } else {
      others.push(`${method} ${url}`);
      response.writeHead(404).end();
    }
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const collector: Collector = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    others,
    pages: {},
    answer: accepted,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return collector;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  // Known by its first two bytes, as some senders say so in the address and others in a header.
  return String(body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body);
}
