import {byteLength} from './byteLength.js';
import type {Batch, Outbox} from './outbox.js';
import type {Answer, FetchTransport} from './transport/fetch.js';
import type {Discarded} from './types.js';

/** ms an event waits for company. */
const DELAY = 5_000;
/** ms an error waits: long enough for the burst that one fault causes, short enough to survive a crash that follows. */
const ERROR_DELAY = 200;
/** Queued events and bytes that are sent without waiting. */
const FULL_EVENTS = 50;
const FULL_BYTES = 48 * 1024;
/** First and longest wait after a failed send, ms. */
const FIRST_BACKOFF = 1_000;
const MAX_BACKOFF = 5 * 60_000;
/** Answers after which the same events may be taken later. No answer (0) is one of them. */
const RETRYABLE = [0, 408, 429, 500, 502, 503, 504];

export interface SenderParts {
  outbox: Outbox;
  fetch: FetchTransport;
  beacon(body: string): boolean;
  /** Writes the body of a batch, with these counts in it. */
  seal(batch: Batch, discarded: Discarded[]): string;
  /** Takes the counts of given-up events, to send them. */
  takeDiscarded(): Discarded[];
  /** Counts events that were given up, or puts back counts that were not delivered. */
  discard(reason: string, kind: string, count?: number): void;
}

export interface Sender {
  /** To be called after an event was added. */
  added(kind: string): void;
  /** The page is hidden and may never run again: hands everything to the browser, now. */
  leave(): void;
  /** Sends what is queued; true when nothing is left within `timeoutMs`. */
  flush(timeoutMs: number): Promise<boolean>;
  stop(): void;
}

/**
 * Decides when what is sent. One request at a time, oldest first; a failed one closes the gate for a while, so that a
 * receiver in trouble sees one request per page and back-off and not one per event. Only a page that goes away sends more at once.
 */
export function createSender(parts: SenderParts): Sender {
  const {outbox, fetch} = parts;
  let sending = false;
  let stopped = false;
  let failures = 0;
  /** Everything up to this event is due. */
  let due = 0;
  let timer: Timer;
  let timerAt = Infinity;
  let gate: Timer;
  let gateUntil = 0;
  let gateByReceiver = false;
  const idle = new Set<() => void>();

  function wake(inMs: number): void {
    const at = Date.now() + inMs;
    if (stopped || at >= timerAt) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(trigger, inMs);
  }

  function trigger(): void {
    clearTimeout(timer);
    timerAt = Infinity;
    due = outbox.added;
    void pump();
  }

  async function pump(): Promise<void> {
    if (sending || stopped || gate) return;
    sending = true;
    try {
      for (let batch; !gate && !stopped && (batch = outbox.take(due)); ) {
        const sealed = seal(batch);
        settle(batch, sealed.discarded, await fetch.send(sealed.body));
      }
    } catch {
      // A rejection here would reach the page as an unhandled one, and from there ourselves, again and again.
      parts.discard('sdk_error', 'error');
    } finally {
      sending = false;
    }
  }

  function seal(batch: Batch): {body: string; discarded: Discarded[]} {
    batch.attempt++;
    const discarded = parts.takeDiscarded();
    return {body: parts.seal(batch, discarded), discarded};
  }

  function settle(batch: Batch, discarded: Discarded[], {status, retryAfter, rejected = []}: Answer): void {
    const {items} = batch;
    const delivered = status >= 200 && status < 300;
    if (!delivered) restore(discarded);

    if (delivered) {
      failures = 0;
      outbox.done(batch);
      for (const index of rejected) if (items[index]) parts.discard('rejected', items[index].kind);
    } else if (RETRYABLE.includes(status)) {
      outbox.putBack(batch);
      const longest = Math.min(FIRST_BACKOFF * 2 ** failures++, MAX_BACKOFF);
      close(Math.max(retryAfter ?? 0, Math.random() * longest), retryAfter !== undefined);
    } else if (status === 413 && items.length > 1) {
      outbox.split(batch);
      // What left while the page was hidden has no loop that would go on with the halves.
      void pump();
    } else {
      outbox.done(batch);
      const reason = status === 413 ? 'too_large' : `http_${String(status)[0]}xx`;
      for (const {kind} of items) parts.discard(reason, kind);
    }
    if (!outbox.size) idle.forEach((resolve) => resolve());
    // Somebody waits for an empty outbox: what was captured meanwhile goes too, instead of in five seconds.
    else if (idle.size) trigger();
  }

  function restore(discarded: Discarded[]): void {
    for (const {reason, kind, count} of discarded) parts.discard(reason, kind, count);
  }

  /** Sends nothing for so long. Several failed sends of a hidden page close it once, for the longest time. */
  function close(ms: number, byReceiver: boolean): void {
    if (stopped) return;
    const until = Date.now() + ms;
    gateByReceiver ||= byReceiver;
    if (gate && until <= gateUntil) return;
    clearTimeout(gate);
    gateUntil = until;
    gate = setTimeout(open, ms);
  }

  function open(): void {
    clearTimeout(gate);
    gate = undefined;
    gateByReceiver = false;
    trigger();
  }

  /** The network is back: no need to sit out a back-off that was for its absence. What the receiver asked for is kept. */
  function online(): void {
    if (gate && !gateByReceiver) open();
  }
  addEventListener('online', online);

  return {
    added(kind) {
      const {events, bytes} = outbox.queued;
      if (events >= FULL_EVENTS || bytes >= FULL_BYTES) trigger();
      else wake(kind === 'error' ? ERROR_DELAY : DELAY);
    },

    leave() {
      // An own back-off is ignored for what may be the last chance; a receiver that asked for silence gets it.
      if (stopped || gateByReceiver) return;
      for (let batch; (batch = outbox.take(outbox.added)); ) {
        const current = batch;
        const {body, discarded} = seal(current);
        if (fetch.canOutlive(byteLength(body))) {
          void fetch.send(body).then((answer) => settle(current, discarded, answer));
        } else if (parts.beacon(body)) {
          // Nobody will ever tell whether it arrived.
          settle(current, discarded, {status: 200});
        } else {
          // Refused before it was sent, so this was no attempt.
          current.attempt--;
          restore(discarded);
          if (current.items.length > 1) {
            outbox.split(current);
          } else {
            // Not even one event fits any more. If the page lives on, it will send the rest.
            outbox.putBack(current);
            wake(DELAY);
            break;
          }
        }
      }
    },

    flush(timeoutMs) {
      trigger();
      if (!outbox.size) return Promise.resolve(true);
      return new Promise((resolve) => {
        const end = (empty: boolean) => {
          clearTimeout(limit);
          idle.delete(done);
          resolve(empty);
        };
        const done = () => end(true);
        const limit = setTimeout(() => end(false), timeoutMs);
        idle.add(done);
      });
    },

    stop() {
      stopped = true;
      clearTimeout(timer);
      clearTimeout(gate);
      removeEventListener('online', online);
    },
  };
}

type Timer = ReturnType<typeof setTimeout> | undefined;
