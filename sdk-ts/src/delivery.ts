import {byteLength} from './byteLength.js';
import {envelope} from './envelope.js';
import {id} from './id.js';
import type {Answer, Transport} from './transport/transport.js';
import type {Batch, Client, Discarded, Lost, MonitorEvent, Page} from './types.js';

/** ms an event waits for company. */
const DELAY = 5_000;
/** ms an error waits: long enough for the burst that one fault causes, short enough to survive a crash that follows. */
const ERROR_DELAY = 200;
/** Bytes of a batch: below the receiver's limits, and with its envelope below the browser's 64 KiB for keepalive. */
const BATCH_BYTES = 48_000;
/** Bytes held at most, whether they wait or are on the wire. */
const MAX_BYTES = 500_000;
/** Bytes that an event counts for at least, so that there are never more than 1,000 of them, and 96 in a batch. */
const MIN_EVENT_BYTES = 500;
/** First and longest wait after a failed send, ms. */
const FIRST_BACKOFF = 1_000;
const MAX_BACKOFF = 300_000;
/** Longest wait that is believed when the receiver asks for it, s. `setTimeout` fires at once beyond 2^31 ms. */
const MAX_RETRY_AFTER = 86_400;
/** Kinds and reasons that are counted apart; the caller chooses kinds, and the receiver reads 64. */
const MAX_COUNTERS = 60;

/** Names with a `_` are for our own modules; the build shortens them. */
export interface Delivery {
  /** Queues an event: its JSON, made once at capture, which bounds memory and freezes what was seen. */
  _add(json: string, event: MonitorEvent, page: Page): void;
  /** Counts what was given up, by its weight. */
  _discard(reason: string, lost: Lost): void;
  /** All that wait or are on the wire. */
  _batches(): readonly Batch[];
  /** Takes over what an earlier page could not send. */
  _adopt(batch: Batch): void;
  /** The page is hidden and may never run again: hands everything to the browser, now. */
  _leave(): void;
  /** The network is back: no need to sit out a back-off that was for its absence. What the receiver asked for is kept. */
  _online(): void;
  /** Sends what is queued; true when nothing is left within so many ms. */
  _flush(timeoutMs?: number): Promise<boolean>;
  /** Sends nothing any more; what is left stays. */
  _stop(): void;
  /** Forgets a batch. */
  _remove(batch: Batch): void;
}

/**
 * Queues events in batches and decides when what is sent. One request at a time, oldest first; a failed one closes the gate for a
 * while, so that a receiver in trouble sees one request per page and back-off and not one per event. Only a page that
 * goes away sends more at once. Once sent, a batch is only ever sent again as it was, or as a part of it.
 *
 * `transports` are the ways to the receiver, the best first; `state` tells the page and scope of now.
 */
export function createDelivery(transports: Transport[], state: () => Pick<Client, 'page' | 'scope' | 'paused'>): Delivery {
  let batches: Batch[] = [];
  const flying = new Set<Batch>();
  const counters = new Map<string, Discarded>();
  /** Bytes of all batches. */
  const held = (): number => size(batches.flatMap(({items}) => items));
  let pumping = false;
  let timer: ReturnType<typeof setTimeout>;
  let timerAt = Infinity;
  /** Nothing is sent before these times, of a clock that nobody sets back: our own back-off, and what the receiver asked for. */
  let gate = 0;
  let silence = 0;
  /** Failed sends; each one that goes well takes back a tenth, so that in the long run few requests are repeats. */
  let failures = 0;

  const waits = (batch: Batch): boolean => !flying.has(batch);

  function discard(reason: string, {kind = 'error', weight = 1}: Lost): void {
    const key = reason + kind;
    const counter = counters.get(key);
    if (counter) counter.count += weight;
    else if (counters.size < MAX_COUNTERS) counters.set(key, {reason, kind, count: weight});
  }

  function wake(inMs: number): void {
    const at = Math.max(performance.now() + inMs, gate, silence);
    if (at < timerAt) {
      clearTimeout(timer);
      timerAt = at;
      timer = setTimeout(pump, at - performance.now());
    }
  }

  async function pump(): Promise<void> {
    timerAt = Infinity;
    if (pumping) return wake(ERROR_DELAY);
    pumping = true;
    // What is captured meanwhile waits for company.
    for (const batch of [...batches]) {
      if (performance.now() >= Math.max(gate, silence) && waits(batch) && batches.includes(batch)) await send(batch);
    }
    pumping = false;
    // A timer may fire a moment before the gate opens.
    if (batches.some((batch) => batch.attempt && waits(batch))) wake(0);
  }

  /** Never rejected: that would reach the page, and from there ourselves, again and again. */
  async function send(batch: Batch, leaving = false): Promise<void> {
    flying.add(batch);
    try {
      if (!batch.attempt++) {
        // A sum of weights may have a fraction, a count of the protocol has none.
        counters.forEach((counter) => batch.discarded.push({...counter, count: counter.count >>> 0 || 1}));
        counters.clear();
      }
      // Single-page apps set the title after they changed the address. An `<img name="title">` takes its place in the document.
      state().page.title = `${document.title}`;
      const body = envelope(batch);
      for (const transport of transports) {
        const answer = transport(body, leaving);
        if (answer) return settle(batch, await answer);
      }
    } catch {
      // Whatever a transport of the host or a strange answer breaks, the batch is not lost.
    }
    if (!leaving) return settle(batch, {status: 0});
    // If the page lives on, it sends what nobody took, and what had no answer.
    flying.delete(batch);
    wake(DELAY);
  }

  function settle(batch: Batch, {status, retryAfter, rejected}: Answer): void {
    const {items} = batch;
    flying.delete(batch);
    // Forgotten meanwhile.
    if (!batches.includes(batch)) return;
    // No answer, or one after which the same events may be taken later.
    if (!status || status === 408 || status === 429 || status > 499) {
      const now = performance.now();
      // Several failed sends of a hidden page close the gate once, for the longest time.
      gate = Math.max(gate, now + Math.min(FIRST_BACKOFF * 2 ** failures++, MAX_BACKOFF) * Math.random());
      silence = Math.max(silence, now + Math.min(+retryAfter! || 0, MAX_RETRY_AFTER) * 1000);
      wake(0);
    } else if (status === 413 && items.length > 1) {
      const middle = items.length >> 1;
      remove(batch);
      insert({...batch, id: id(), items: items.slice(middle), discarded: []});
      insert({...batch, id: id(), items: items.slice(0, middle), discarded: []});
    } else if (status < 300) {
      failures *= 0.9;
      batch.discarded = [];
      remove(batch);
      // Last, because what answered may not have been a receiver.
      rejected?.forEach(({index}) => discard('rejected', items[index]!));
    } else {
      items.forEach((item) => discard(`http_${status}`, item));
      remove(batch);
    }
  }

  /** The batch is decided. What was given up before it and not yet told goes with another one. */
  function remove(batch: Batch): void {
    batches = batches.filter((other) => other !== batch);
    batch.discarded.forEach(({reason, kind, count: weight}) => discard(reason, {kind, weight}));
  }

  function insert(batch: Batch): void {
    batches.unshift(batch);
    wake(DELAY);
  }

  /** The batch that the next event of the page joins, when that has so many bytes `more`. */
  function open(page: Page, more = 0): Batch {
    const {scope} = state();
    // Only what belongs to the same page, session and user can share an envelope; these are replaced, never changed.
    let batch = batches.find(
      (batch) => !batch.attempt && batch.page === page && batch.scope === scope && size(batch.items) + more <= BATCH_BYTES,
    );
    if (!batch) batches.push((batch = {id: id(), page, scope, items: [], attempt: 0, discarded: []}));
    return batch;
  }

  /** Gives up the oldest event that is no error, or the oldest at all; false when all of them are on the wire. */
  function giveUp(errorsToo?: boolean): boolean {
    return batches.some((batch) => {
      const index = batch.items.findIndex(({kind}) => waits(batch) && (errorsToo || kind !== 'error'));
      for (const item of batch.items.splice(index, +(index >= 0))) discard('queue_overflow', item);
      if (!batch.items.length) remove(batch);
      return index >= 0;
    });
  }

  function bound(): void {
    while (held() > MAX_BYTES && (giveUp() || giveUp(true)));
  }

  /** What was given up must be told even when no event is left to tell it with, but not of a visitor who has not agreed. */
  function report(): void {
    if (counters.size && !state().paused) open(state().page);
  }

  return {
    _add(json, {kind, weight}, page) {
      const item = {json, kind, weight, bytes: Math.max(byteLength(json), MIN_EVENT_BYTES)};
      open(page, item.bytes).items.push(item);
      bound();
      wake(held() >= BATCH_BYTES ? 0 : kind === 'error' ? ERROR_DELAY : DELAY);
    },
    _discard: discard,
    _batches: () => batches,
    _adopt(batch) {
      insert(batch);
      bound();
    },

    _leave() {
      report();
      // An own back-off is ignored for what may be the last chance; a receiver that asked for silence gets it.
      if (performance.now() >= silence) batches.filter(waits).forEach((batch) => send(batch, true));
    },

    _online() {
      gate = 0;
      wake(0);
    },

    async _flush(timeoutMs = 2_000) {
      report();
      for (const end = performance.now() + timeoutMs; batches.length; ) {
        void pump();
        if (performance.now() >= end) return false;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return true;
    },

    _stop() {
      gate = Infinity;
    },
    _remove: remove,
  };
}

function size(items: Batch['items']): number {
  return items.reduce((total, {bytes}) => total + bytes, 0);
}
