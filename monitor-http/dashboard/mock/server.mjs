// A stand-in for the service, for development and the tests of the dashboard. It answers docs/query-api.md from generated
// events and serves dist/ below a mount path with the content security policy of the real service.
//
//   node mock/server.mjs [--port 8099] [--mount /monitor/] [--token secret] [--password secret]

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { parseArgs } from 'node:util';
import { Generator, hostile, history } from './data.mjs';
import { runIssues, setIssue } from './issues.mjs';
import { runFunnel, runPaths, runRetention } from './journey.mjs';
import { QueryError, runEvents, runExport, runQuery, select } from './query.mjs';
import { runSessions } from './sessions.mjs';
import { storage, system } from './system.mjs';

export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };
const GETS = ['query/projects', 'query/storage', 'query/system', 'query/me', 'login', 'live'];
const POSTS = ['query', 'query/events', 'query/events/export', 'query/funnel', 'query/retention', 'query/paths', 'query/sessions', 'query/issues', 'query/issues/state', 'login', 'logout'];
const DIST = new URL('../dist/', import.meta.url);

/** Starts it and gives `{url, add, log, faults, close}`; `add` puts events in as if they were just accepted. */
export async function startMock({ port = 0, mount = '/monitor/', token = '', password = '', traffic = false, now = Date.now() } = {}) {
  const stores = { shop: history('shop', now), blog: [], hostile: hostile('hostile', now) };
  const names = { shop: 'Demo shop', blog: 'Company blog', hostile: '<b>Hostile</b> "project"' };
  const clients = new Set();
  const log = [];
  const faults = { next: [], delay: 0 };
  const timers = [];
  const states = new Map();
  const started = Date.now();
  let sessions = 0;

  function add(project, events) {
    stores[project].push(...events);
    stores[project].sort((a, b) => a.time - b.time);
    for (const client of clients) {
      // Stacks are read for who asks for whole events, not for who looks on.
      const wanted = client.project !== project ? [] : select(events, { from: -Infinity, to: Infinity, kinds: client.kinds, filters: client.filters }).map(({ exceptions, ...event }) => event);
      if (wanted.length) client.response.write(`event: events\ndata: ${JSON.stringify(wanted)}\n\n`);
    }
  }

  function drop(count) {
    for (const client of clients) client.response.write(`event: dropped\ndata: {"count":${count}}\n\n`);
  }

  const send = (response, status, body, headers = {}) => {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers });
    response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
  };
  const fail = (response, status, code, message) => send(response, status, { error: { code, message } });

  async function answer(incoming, response) {
    const url = new URL(incoming.url, 'http://mock');
    if (!url.pathname.startsWith(mount)) {
      if (`${url.pathname}/` === mount || url.pathname === '/') return send(response, 302, '', { Location: mount });
      return fail(response, 404, 'not_found', 'nothing here');
    }
    const path = url.pathname.slice(mount.length);
    if (!GETS.includes(path) && !POSTS.includes(path)) return serve(path || 'index.html', response);
    if (!(incoming.method === 'POST' ? POSTS : GETS).includes(path)) return fail(response, 405, 'method_not_allowed', 'another method is needed');

    let body = '';
    for await (const chunk of incoming) body += chunk;
    const document = body ? JSON.parse(body) : null;
    log.push({ path, method: incoming.method, body: document });
    if (faults.delay) await new Promise((resolve) => timers.push(setTimeout(resolve, faults.delay)));
    if (path === 'login') return logIn(incoming, document, response);
    if (path === 'logout') sessions++;
    if (path === 'logout') return send(response, 204, '', { 'Set-Cookie': `session=; Path=${mount}; Max-Age=0` });
    const known = (!token && !password) || (token !== '' && incoming.headers.authorization === `Bearer ${token}`) || (sessions > 0 && incoming.headers.cookie?.includes(`session=${sessions}`));
    if (!known) return fail(response, 401, 'unauthorized', 'a valid token is needed');
    if (path === 'query/me') return send(response, 200, { name: token || password ? 'anna' : 'anyone', everywhere: 'viewer', projects: [], expires: null, can_log_out: Boolean(incoming.headers.cookie) && sessions > 0 });
    if (path === 'query/projects') {
      const base = `http://${incoming.headers.host}${mount}`;
      return send(response, 200, { projects: Object.keys(stores).map((id) => ({ id, name: names[id], key: `k_${id}`, dsn: `${base.replace('://', `://k_${id}@`)}${id}` })) });
    }
    const fault = path === 'live' ? undefined : faults.next.shift();
    if (fault) return fail(response, fault.status, fault.code, fault.message);
    if (path === 'query/system') return send(response, 200, system(Date.now(), started));
    if (path === 'query/storage') return send(response, 200, storage(Object.values(stores).flat()));
    const project = path === 'live' ? url.searchParams.get('project') : document?.project;
    if (!Object.hasOwn(stores, project ?? '')) return fail(response, 404, 'not_found', 'no such project');
    const events = stores[project];
    switch (path) {
      case 'live': return live(url, project, response);
      case 'query': return send(response, 200, runQuery(events, document));
      case 'query/events': return send(response, 200, runEvents(events, document));
      case 'query/events/export': {
        const csv = incoming.headers.accept?.includes('text/csv');
        return send(response, 200, runExport(events, document, csv), { 'Content-Type': csv ? 'text/csv' : 'application/x-ndjson', 'Content-Disposition': 'attachment' });
      }
      case 'query/funnel': return send(response, 200, runFunnel(events, document));
      case 'query/retention': return send(response, 200, runRetention(events, document));
      case 'query/paths': return send(response, 200, runPaths(events, document));
      case 'query/sessions': return send(response, 200, runSessions(events, document));
      case 'query/issues': return send(response, 200, runIssues(events, document, states));
      default:
        setIssue(states, document, Date.now());
        return send(response, 204, '');
    }
  }

  /** Any user has the one password. */
  function logIn(incoming, document, response) {
    if (incoming.method !== 'POST') return send(response, 200, { password: password !== '', token: token !== '' });
    const right = (password !== '' && document?.password === password) || (token !== '' && document?.token === token);
    if (!right) return fail(response, 401, 'login_refused', 'name, password or token are not right');
    sessions++;
    return send(response, 200, { name: document.user ?? 'token', everywhere: 'viewer', projects: [], expires: null, can_log_out: true }, { 'Set-Cookie': `session=${sessions}; Path=${mount}; HttpOnly; SameSite=Lax` });
  }

  function live(url, project, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write(': hello\n\n');
    const client = { project, kinds: (url.searchParams.get('kinds') ?? '').split(',').filter(Boolean), filters: JSON.parse(url.searchParams.get('filters') ?? '[]'), response };
    clients.add(client);
    response.on('close', () => clients.delete(client));
  }

  async function serve(path, response) {
    if (path.includes('..')) return fail(response, 404, 'not_found', 'nothing here');
    try {
      send(response, 200, await readFile(new URL(path, DIST)), {
        'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', 'Content-Security-Policy': CSP,
        'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer',
      });
    } catch {
      fail(response, 404, 'not_found', 'nothing here');
    }
  }

  const server = createServer((incoming, response) => {
    answer(incoming, response).catch((error) => {
      if (error instanceof QueryError) fail(response, error.status, error.code, error.message);
      else if (error instanceof SyntaxError) fail(response, 400, 'bad_query', 'not JSON');
      else fail(response, 500, 'internal', String(error));
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));

  timers.push(setInterval(() => { for (const client of clients) client.response.write(': still here\n\n'); }, 15_000));
  if (traffic) {
    const generator = new Generator(now);
    timers.push(setInterval(() => {
      const moment = Date.now();
      const events = generator.session('shop', moment);
      // The pages of one session arrive at once here: a demonstration should not take minutes to move.
      add('shop', events.map((event) => ({ ...event, time: Math.min(event.time, moment), received: moment })));
    }, 1500));
  }

  return {
    url: `http://127.0.0.1:${server.address().port}${mount}`, add, drop, log, faults, stores,
    disconnect: () => { for (const client of clients) client.response.destroy(); },
    close: () => new Promise((resolve) => {
      timers.forEach((timer) => { clearTimeout(timer); clearInterval(timer); });
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8099' }, mount: { type: 'string', default: '/monitor/' }, token: { type: 'string', default: '' }, password: { type: 'string', default: '' } } });
  const mock = await startMock({ port: Number(values.port), mount: values.mount, token: values.token, password: values.password, traffic: true });
  console.log(mock.url);
}
