/**
 * The scene of the browser tests: a real Chromium, the real receiver with its embedded engine, and a server of pages that
 * run what the test wrote in TypeScript. What a page did is asked back from the query API.
 *
 * ```ts
 * let scene: Scene;
 * beforeAll(async () => { scene = await startScene(); });
 * afterAll(() => scene?.stop());
 *
 * test('a click is one event', async () => {
 *   const visit = await scene.visit({
 *     script: `
 *       import {createClient} from '../../src/client.js';
 *       import {clicks} from '../../src/integrations/clicks.js';
 *       createClient({dsn: MONITOR_DSN, release: RELEASE}, [clicks()]);`,
 *     body: '<button id="buy">Buy</button>',
 *   });
 *   await visit.page.click('#buy');
 *   await visit.leave();
 *   const events = await scene.events(visit, {count: 1});
 *   expect(events).toMatchObject([{kind: 'click', target: '#buy'}]);
 *   expect(visit.problems).toEqual([]);
 * });
 * ```
 *
 * - **Scripts** are TypeScript (JSX too) and import like a file of this folder. They are bundled as they are imported: a test
 *   of one integration does not fail because of another. `MONITOR_DSN`, `RELEASE`, `ORIGIN` and `OTHER_ORIGIN` are texts that
 *   every script can use. They run in the head, before the body exists.
 * - **A visit** is one page in a browser context of its own: own storage, own cookies, own visitor. Give `context` of an
 *   earlier visit for a second page of the same visitor. Its `release` is unique: it is how `events` tells tests apart, so the
 *   page must pass it to `init`; an earlier visit's release can be given too.
 * - **Routes** answer what pages ask: `scene.routes['/api/cart'] = {body: '{}', delay: 50}`. Both origins (`scene.origin`,
 *   `scene.otherOrigin`) have the same routes; requests are recorded in `scene.requests`.
 * - **Faults**: between page and receiver stands a proxy that records every envelope and its answer in `scene.envelopes`, and
 *   that can be told to misbehave: `scene.faults`. `scene.stopReceiver()` and `scene.startReceiver()` make an outage with
 *   connections that are refused; ports and data stay.
 * - **Visibility**: Playwright's pages are visible whatever happens. `scene.desktop()` is the context of a browser whose tabs are
 *   hidden and shown by the browser itself: `hide(visit.page)` and `show(visit.page)` of desktop.ts. `scene.prerender()` opens a
 *   page that the browser prerenders.
 *
 * `MONITOR_QUICKSTART` names another receiver than the debug build of the `quickstart` example, `CHROMIUM` another browser.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, request as ask, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gunzipSync} from 'node:zlib';
import {build} from 'esbuild';
import {chromium, type BrowserContext, type BrowserContextOptions, type Page} from 'playwright-core';
import {onTestFinished} from 'vitest';
import {freePort} from '../../../tests/free-port.mjs';
import {eagerInEsbuild} from '../../scripts/eager.mjs';
import {executablePath, flags, openBehind, startDesktop, type Desktop} from './desktop.js';

/** What is answered at a path: a text is an HTML page. */
export type Route = string | Answer | ((request: IncomingMessage, response: ServerResponse) => void);

export interface Answer {
  /** 200 by default. */
  status?: number;
  /** `content-type` is guessed from the path by default. */
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
  /** Milliseconds until the headers are sent. */
  delay?: number;
}

/** A request that a page made to one of its two origins. */
export interface PageRequest {
  origin: string;
  method: string;
  /** Path and query. */
  url: string;
  headers: IncomingHttpHeaders;
}

/** An envelope that the SDK sent to the receiver. */
export interface SentEnvelope {
  /** When it came in, in milliseconds since the Unix epoch. */
  at: number;
  method: string;
  /** Path and query. */
  url: string;
  headers: IncomingHttpHeaders;
  /** Bytes of the body as it was sent. */
  size: number;
  /** What was sent; undefined when it is no JSON. */
  envelope: any;
  /** The status that the page was answered with; 0 while there is no answer, and for ever when it was lost. */
  status: number;
  /** The events that the receiver refused for good. */
  rejected: {index: number; code: string; message: string}[];
}

/** An event as the query API returns it; see docs/query-api.md. */
export interface StoredEvent {
  id: string;
  time: number;
  seq: number;
  kind: string;
  name: string;
  value: number | null;
  release: string;
  page: string;
  url: string;
  route: string;
  session: string;
  visitor: string;
  user: string;
  message: string;
  status: number;
  method: string;
  target: string;
  failure: string;
  rating: string;
  tags: Record<string, string>;
  attributes: Record<string, string>;
  data: any;
  [field: string]: any;
}

/** What happens to envelopes on their way. Each fault replaces the one before and ends after `times` envelopes (default: never). */
export interface Faults {
  /** Answers with this status instead of asking the receiver. */
  answer(status: number, options?: {times?: number; headers?: Record<string, string>; body?: unknown}): void;
  /** The receiver gets the envelope, but its answer is lost. */
  dropResponses(times?: number): void;
  /** The connection is reset before the receiver gets anything. */
  reset(times?: number): void;
  /** Nothing is answered, and nothing is passed on. */
  hang(times?: number): void;
  /** Everything is passed on again. Connections that hang are reset. */
  heal(): void;
}

export interface VisitOptions {
  /** TypeScript, bundled and run in the head of the page. Left out: a page without any script. */
  script?: string;
  /** HTML before the script. */
  head?: string;
  /** HTML of the body. */
  body?: string;
  /** Headers of the page, such as a content security policy. */
  headers?: Record<string, string>;
  /** Path, query and fragment of the page; a path of its own by default. */
  path?: string;
  /** The same visitor as before: same storage, same cookies. A new one by default. */
  context?: BrowserContext;
  contextOptions?: BrowserContextOptions;
  /** The release of an earlier visit, to count their events together. */
  release?: string;
  /** Loads the page in a tab behind the one that is in front. For a context of `desktop`. */
  behind?: boolean;
  /** Called before the page is loaded: `page.addInitScript`, `page.route`, `page.on`. */
  prepare?: (page: Page) => Promise<unknown> | void;
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly release: string;
  readonly dsn: string;
  /** Address of the page. */
  readonly url: string;
  /** Errors that nobody in the page caught. */
  readonly problems: string[];
  /** What the console said, the browser's own lines included: `error: Failed to load resource…`. */
  readonly console: string[];
  /** Goes to an empty page, so that everything is flushed. */
  leave(): Promise<void>;
}

/** A page that the browser loads before its user wants it. No debugger knows of it: the page asks what it should do. */
export interface Prerendered {
  readonly release: string;
  /** Address of the page. */
  readonly url: string;
  /** Runs a function in the page, whether it is shown yet or not. */
  evaluate<T>(run: () => T | Promise<T>): Promise<T>;
  /** Errors that nobody in the page caught. */
  problems(): Promise<string[]>;
  /** Goes to the page, which the browser has only to show. */
  activate(): Promise<void>;
  /** Closes the tab: of the page, or of the one that wanted it prerendered. */
  close(): Promise<void>;
  /** Attaches Playwright to its window, for other pages of the same visitor: the page itself is none that Playwright knows. */
  attach(): Promise<BrowserContext>;
}

export interface Scene {
  /** Where pages live: `http://127.0.0.1:…` without a slash at the end. */
  readonly origin: string;
  /** The same routes on another port: cross-origin for the pages. */
  readonly otherOrigin: string;
  /** What `MONITOR_DSN` is in scripts. */
  readonly dsn: string;
  /** Where the query API and the ingest are, not behind the proxy. */
  readonly receiver: string;
  /** What the two origins answer, by path without query. Unknown paths are answered with 404. */
  readonly routes: Record<string, Route>;
  readonly requests: PageRequest[];
  /** All envelopes of all visits, in the order they came in. */
  readonly envelopes: SentEnvelope[];
  readonly faults: Faults;
  visit(options?: VisitOptions): Promise<Visit>;
  /** The context of a new browser with one window, whose tabs are visible, hidden and throttled as people's are. It ends with the test. */
  desktop(): Promise<BrowserContext>;
  /** Opens a page with a speculation rule in a new browser, and waits until the page that the rule names is prerendered. */
  prerender(options: Pick<VisitOptions, 'script' | 'head' | 'body'>): Promise<Prerendered>;
  /** The bundled form of a script: what `visit` puts into the page, for routes of the test's own. */
  bundle(script: string, release: string): Promise<string>;
  /**
   * The events of a release, oldest first: waits until there are `count` of them (default 1; at most `timeout` ms, default
   * 20,000), then until no envelope has come for `settle` ms (default 1,500): for what comes too much. Fails when an id is
   * there twice, or when the receiver rejected an event. When fewer came in time, those are returned: the test says what is
   * missing.
   */
  events(visit: {release: string}, options?: {count?: number; timeout?: number; settle?: number}): Promise<StoredEvent[]>;
  /** Envelopes of a release, in the order they came in. */
  sent(visit: {release: string}): SentEnvelope[];
  /** Ends the receiver as a deployment does, with SIGTERM. From then on its connections are refused. */
  stopReceiver(): Promise<void>;
  /** Starts it again, on the same ports and data. */
  startReceiver(): Promise<void>;
  stop(): Promise<void>;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const quickstart = process.env['MONITOR_QUICKSTART'] ?? join(here, '../../../target/debug/examples/quickstart');

/** Starts everything; takes a second or two. One scene per test file is enough. */
export async function startScene(): Promise<Scene> {
  const data = await mkdtemp(join(tmpdir(), 'monitor-browser-'));
  const [listen, shop, internal, front] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const receiver = await startReceiver({listen, shop, internal, data});
  const proxy = faultProxy(listen);
  await listenOn(proxy.server, front);
  const browser = await chromium.launch({
    executablePath,
    // Playwright switches the back/forward cache off; real users have it.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: flags,
  });

  const routes: Record<string, Route> = {};
  const requests: PageRequest[] = [];
  const pages = [createServer(), createServer()] as const;
  const origins = await Promise.all(pages.map(async (server) => `http://127.0.0.1:${await listenOn(server, 0)}`));
  pages.forEach((server, index) => {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const {method = '', url = '', headers} = request;
      requests.push({origin: origins[index]!, method, url, headers});
      answer(routes[url.replace(/\?.*/s, '')], request, response);
    });
  });
  const [origin, otherOrigin] = origins as [string, string];
  const dsn = `http://demo-key@127.0.0.1:${front}/shop`;

  const wrapped = async (script: string, release: string): Promise<string> => {
    const names = Object.entries({MONITOR_DSN: dsn, RELEASE: release, ORIGIN: origin, OTHER_ORIGIN: otherOrigin});
    const declared = names.map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(', ');
    // A function around it, so that nothing but what the script asks for becomes global.
    return `(() => { const ${declared};\n${await bundled(script)}})();`;
  };

  let running: Receiver | undefined = receiver;
  let visits = 0;
  const unique = Date.now().toString(36);

  /** Makes the routes of a page. */
  const serve = async ({script, head = '', body = '<h1>Shop</h1>', headers = {}, path, release}: VisitOptions): Promise<{release: string; path: string}> => {
    const number = ++visits;
    release ??= `test-${unique}-${number}`;
    path ??= `/visit-${number}`;
    let tag = '';
    if (script !== undefined) {
      const source = `/visit-${number}.js`;
      routes[source] = {body: await wrapped(script, release)};
      tag = `<script src="${source}"></script>`;
    }
    routes[path.replace(/[?#].*/s, '')] = {
      headers: {'content-type': 'text/html; charset=utf-8', ...headers},
      body: `<!doctype html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,">${head}${tag}</head><body>${body}</body></html>`,
    };
    return {release, path};
  };

  const newDesktop = async (): Promise<Desktop> => {
    const desktop = await startDesktop();
    onTestFinished(() => desktop.stop());
    return desktop;
  };

  const scene: Scene = {
    origin,
    otherOrigin,
    dsn,
    receiver: `http://127.0.0.1:${listen}`,
    routes,
    requests,
    envelopes: proxy.envelopes,
    faults: proxy.faults,
    bundle: wrapped,

    async visit({context, contextOptions, behind, prepare, ...options} = {}) {
      const {release, path} = await serve(options);
      context ??= await browser.newContext(contextOptions);
      const page = await (behind ? openBehind(context) : context.newPage());
      const problems: string[] = [];
      const said: string[] = [];
      page.on('pageerror', (error) => problems.push(String(error)));
      page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
      await prepare?.(page);
      const url = origin + path;
      await page.goto(url);
      return {
        page,
        context,
        release,
        dsn,
        url,
        problems,
        console: said,
        leave: async () => {
          await page.goto('about:blank');
        },
      };
    },

    desktop: async () => (await newDesktop()).attach(),

    async prerender({head = '', ...options}) {
      const number = ++visits;
      const control = remote(`/remote-${number}`, routes);
      const {release, path} = await serve({...options, head: control.head + head});
      const go = `/go-${number}`;
      const going = new Promise<ServerResponse>((resolve) => (routes[go] = (_request, response) => resolve(response)));
      const rule = JSON.stringify({prerender: [{urls: [path], eagerness: 'immediate'}]});
      const {path: from} = await serve({
        head: `<script>fetch('${go}').then(() => location.assign('${path}'))</script><script type="speculationrules">${rule}</script>`,
      });
      const desktop = await newDesktop();
      const close = await desktop.open(origin + from);
      if (!(await control.evaluate(() => document.prerendering))) throw new Error('the page was not prerendered');
      return {
        release,
        url: origin + path,
        evaluate: control.evaluate,
        problems: () => control.evaluate(() => (globalThis as any).problems),
        close,
        attach: desktop.attach,
        async activate() {
          (await going).end();
          await control.evaluate(() => new Promise((shown) => (document.prerendering ? document.addEventListener('prerenderingchange', shown) : shown(0))).then(() => 0));
        },
      };
    },

    async events({release}, {count = 1, timeout = 20_000, settle = 1_500} = {}) {
      const deadline = Date.now() + timeout;
      while ((await query(scene.receiver, release)).length < count && Date.now() < deadline) await wait(100);
      const since = Date.now();
      const latest = (): number => Math.max(since, ...scene.sent({release}).map(({at}) => at));
      while (Date.now() < latest() + settle) await wait(50);
      const found = await query(scene.receiver, release);
      for (const {rejected, envelope} of scene.sent({release})) {
        const [first] = rejected;
        if (first) throw new Error(`rejected: ${first.code}, ${first.message}: ${JSON.stringify(envelope.events[first.index])}`);
      }
      const ids = found.map(({id}) => id);
      const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
      if (twice.length) throw new Error(`stored more than once: ${twice.join(', ')}`);
      return found;
    },

    sent: ({release}) => proxy.envelopes.filter(({envelope}) => envelope?.release === release),

    async stopReceiver() {
      await close(proxy.server);
      await running?.stop();
      running = undefined;
    },
    async startReceiver() {
      running ??= await startReceiver({listen, shop, internal, data});
      if (!proxy.server.listening) await listenOn(proxy.server, front);
    },

    async stop() {
      await browser.close();
      await Promise.all([...pages, proxy.server].map(close));
      await running?.stop();
      await rm(data, {recursive: true, force: true});
    },
  };
  return scene;
}

/** Runs functions in a page that has `head`: once it is loaded, the page asks for one after the other. */
function remote(path: string, routes: Record<string, Route>): {head: string; evaluate(run: () => unknown): Promise<any>} {
  type Answer = {value?: unknown; error?: string};
  const left: {source: string; done: (answer: Answer) => void}[] = [];
  let current: (typeof left)[number] | undefined;
  let asking: ServerResponse | undefined;
  const next = (): void => {
    if (!asking || !left.length) return;
    current = left.shift()!;
    asking.end(current.source);
    asking = undefined;
  };
  routes[path] = (request, response) =>
    void collect(request).then((body) => {
      if (body.length) current?.done(parsed(body) as Answer);
      asking = response;
      next();
    });
  return {
    head: `<script>
      var problems = [];
      addEventListener('error', ({message}) => problems.push(message));
      addEventListener('unhandledrejection', ({reason}) => problems.push(String(reason)));
      addEventListener('load', async () => {
        for (let body; ; ) {
          const source = await (await fetch('${path}', {method: 'POST', body})).text();
          body = await Promise.resolve().then(() => (0, eval)(source)()).then((value) => JSON.stringify({value}), (error) => JSON.stringify({error: String(error)}));
        }
      });
    </script>`,
    async evaluate(run) {
      const {value, error} = await new Promise<Answer>((done, fail) => {
        const timer = setTimeout(() => fail(new Error('the page did not answer')), 20_000);
        left.push({source: `(${run})`, done: (answer) => (clearTimeout(timer), done(answer))});
        next();
      });
      if (error) throw new Error(error);
      return value;
    },
  };
}

interface Receiver {
  stop(): Promise<void>;
}

interface Place {
  listen: number;
  shop: number;
  internal: number;
  data: string;
}

async function startReceiver({listen, shop, internal, data}: Place): Promise<Receiver> {
  const at = (port: number): string => `127.0.0.1:${port}`;
  const args = ['--listen', at(listen), '--shop', at(shop), '--internal', at(internal), '--data', data, '--min-free-mib', '16'];
  const child: ChildProcess = spawn(quickstart, args, {stdio: ['ignore', 'pipe', 'inherit']});
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await new Promise<void>((ready, failed) => {
    child.once('error', failed);
    void ended.then((code) => failed(new Error(`the receiver ended with ${code}`)));
    child.stdout!.on('data', (text) => {
      if (String(text).includes('ready')) ready();
    });
  });
  return {
    async stop() {
      child.kill('SIGTERM');
      const code = await ended;
      if (code !== 0) throw new Error(`the receiver ended with ${code} after SIGTERM`);
    },
  };
}

async function query(receiver: string, release: string): Promise<StoredEvent[]> {
  const now = Date.now();
  const question = {
    project: 'shop',
    from: now - 9 * 86_400_000,
    to: now + 120_000,
    filters: [{field: 'release', op: 'in', values: [release]}],
    order: 'oldest',
    limit: 10_000,
  };
  const answered = await fetch(`${receiver}/query/events`, {method: 'POST', body: JSON.stringify(question), headers: {'content-type': 'application/json'}});
  if (!answered.ok) throw new Error(`the query API answered ${answered.status}: ${await answered.text()}`);
  const {events, next} = (await answered.json()) as {events: StoredEvent[]; next: string | null};
  if (next) throw new Error('more events than a test can want');
  return events;
}

type Fault = (request: IncomingMessage, body: Buffer, response: ServerResponse, record: SentEnvelope) => void;

/** Passes envelopes on to the receiver, and misbehaves when it is told to. */
function faultProxy(port: number): {server: Server; envelopes: SentEnvelope[]; faults: Faults} {
  const envelopes: SentEnvelope[] = [];
  const hanging = new Set<ServerResponse>();

  /** Headers and bodies both ways as they are; the answer goes to `answered`. */
  const pass = ({method, url, headers}: IncomingMessage, body: Buffer, failed: () => void, answered: (answer: IncomingMessage, text: Buffer) => void): void => {
    const onward = ask({host: '127.0.0.1', port, method, path: url, headers, agent: false}, (answer) => {
      void collect(answer).then((text) => answered(answer, text), failed);
    });
    onward.on('error', failed);
    onward.end(body);
  };
  const honest: Fault = (request, body, response, record) =>
    pass(request, body, () => response.destroy(), (answer, text) => {
      record.status = answer.statusCode ?? 0;
      record.rejected = (parsed(text) as {rejected?: SentEnvelope['rejected']} | undefined)?.rejected ?? [];
      const {connection: _, 'transfer-encoding': __, ...headers} = answer.headers;
      response.writeHead(record.status, headers).end(text);
    });

  let fault = honest;
  let left = 0;
  const set = (next: Fault, times = Infinity): void => {
    fault = next;
    left = times;
  };
  const faults: Faults = {
    answer: (status, {times, headers = {}, body = {error: {code: 'test', message: 'as the test wants'}}} = {}) =>
      set((_request, _body, response, record) => {
        record.status = status;
        const readable = {'access-control-allow-origin': '*', 'access-control-expose-headers': 'retry-after', 'content-type': 'application/json'};
        response.writeHead(status, {...readable, ...headers}).end(JSON.stringify(body));
      }, times),
    dropResponses: (times) => set((request, body, response) => pass(request, body, () => response.destroy(), () => response.destroy()), times),
    reset: (times) => set((_request, _body, response) => response.destroy(), times),
    hang: (times) => set((_request, _body, response) => void hanging.add(response), times),
    heal: () => {
      set(honest);
      hanging.forEach((response) => response.destroy());
      hanging.clear();
    },
  };

  const server = createServer((request, response) => {
    const at = Date.now();
    void collect(request).then(
      (body) => {
        const {method = '', url = '', headers} = request;
        const record: SentEnvelope = {at, method, url, headers, size: body.length, envelope: parsed(body), status: 0, rejected: []};
        if (!url.startsWith('/api/') || method === 'OPTIONS') return honest(request, body, response, record);
        envelopes.push(record);
        const now = fault;
        if (now !== honest && --left <= 0) set(honest);
        now(request, body, response, record);
      },
      // The page went away in the middle of its request.
      () => response.destroy(),
    );
  });
  return {server, envelopes, faults};
}

function parsed(body: Buffer): unknown {
  try {
    // Known by its first two bytes, as some senders say so in the address and others in a header.
    return JSON.parse(String(body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body));
  } catch {
    return undefined;
  }
}

const bundles = new Map<string, Promise<string>>();

/** Bundles a page's script; the same source only once. */
function bundled(source: string): Promise<string> {
  let bundle = bundles.get(source);
  if (!bundle) {
    bundle = build({
      stdin: {contents: source, resolveDir: here, loader: 'tsx', sourcefile: 'page.tsx'},
      bundle: true,
      write: false,
      format: 'iife',
      target: 'es2020',
      jsx: 'automatic',
      // Functions as the build writes them.
      plugins: [eagerInEsbuild],
      logLevel: 'silent',
      define: {'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false'},
    }).then(({outputFiles}) => outputFiles[0]!.text);
    bundles.set(source, bundle);
  }
  return bundle;
}

const TYPES: Record<string, string> = {css: 'text/css', html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', json: 'application/json', png: 'image/png', svg: 'image/svg+xml', txt: 'text/plain'};

function answer(route: Route | undefined, request: IncomingMessage, response: ServerResponse): void {
  if (typeof route === 'function') return route(request, response);
  const {status = 200, headers = {}, body = '', delay = 0} = typeof route === 'string' ? {headers: {'content-type': TYPES['html']!}, body: route} : (route ?? {status: 404});
  const extension = /\.(\w+)(?:\?|$)/.exec(request.url ?? '')?.[1] ?? '';
  const send = (): void => {
    response.writeHead(status, {'content-type': TYPES[extension] ?? 'text/plain', ...headers});
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (delay) setTimeout(send, delay);
  else send();
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // An error says that it was closed before, which is as good.
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
