// Clients that follow the SDK's rules, and a ledger of what they were promised.
import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { ask } from './ask.mjs';

const KINDS = [['error', 'TypeError'], ['vital', 'LCP'], ['click', 'click'], ['request', 'fetch'], ['track', 'purchase']];

/**
 * Clients with an address and a session each, one request of five events at a time. What is not answered with 2xx is sent again, marked as
 * a repeat, until it is: then it is in `accepted` (id to event).
 */
export function startLoad(url, { clients, envelopes = Infinity, pause = 5 }) {
  const accepted = new Map();
  const answers = {};
  let running = true;

  async function client(number) {
    const from = `127.20.${number}.1`;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const session = { id: `session-${number}`, visitor: `visitor-${number}` };
    const page = { id: randomUUID(), url: 'https://shop.example/', route: '/' };
    for (let sent = 0, seq = 0; running && sent < envelopes; sent += 1) {
      const events = KINDS.map(([kind, name]) => ({
        id: randomUUID(),
        seq: seq++,
        time: Date.now(),
        kind,
        name,
        value: seq,
        data: kind === 'error' ? { message: `client ${number}, event ${seq}` } : {},
      }));
      for (let attempt = 1; ; attempt += 1) {
        const body = JSON.stringify({ v: 1, sent_at: Date.now(), attempt, page, session, release: 'load@1', events });
        const answer = await ask(url, { method: 'POST', body, from, agent }).catch((error) => ({ status: error.code ?? error.message }));
        answers[answer.status] = (answers[answer.status] ?? 0) + 1;
        if (answer.status === 202) {
          if (answer.json.accepted !== events.length) throw new Error(`rejected: ${answer.body}`);
          events.forEach((event) => accepted.set(event.id, { ...event, session: session.id, page: page.id }));
          break;
        }
        if (answer.status >= 400 && ![408, 429].includes(answer.status) && answer.status < 500) throw new Error(`refused: ${answer.status} ${answer.body}`);
        // What a page does: it waits as long as it was told to, or a moment.
        await wait(Math.min(Number(answer.headers?.['retry-after'] ?? 0.2), 1) * 1_000);
      }
      await wait(pause);
    }
    agent.destroy();
  }

  const done = Promise.all(Array.from({ length: clients }, (_, number) => client(number + 1)));
  // A client that failed is told of by `stop`.
  done.catch(() => { running = false; });
  return {
    accepted,
    answers,
    done,
    /** Lets every client finish its request. */
    async stop() {
      running = false;
      await done;
    },
  };
}
