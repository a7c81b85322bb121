import type {Scope} from './types.js';

/** An event as it will be sent. It is serialized once, at capture: that bounds memory in bytes and freezes what was seen. */
export interface Item {
  readonly json: string;
  /** Length of `json` as UTF-8. */
  readonly bytes: number;
  readonly kind: string;
  readonly scope: Scope;
}

/** Items that travel together. Once sent, a batch is only ever sent again as it was, or as a part of it. */
export interface Batch {
  readonly scope: Scope;
  readonly items: Item[];
  /** How often it was handed to the network; any send but the first may find that it has already arrived. */
  attempt: number;
}

/** Events and bytes held at most, whether queued, waiting for another attempt, or on the wire. */
const MAX_EVENTS = 1000;
const MAX_BYTES = 512 * 1024;
/** Events and bytes of a batch: below the receiver's limits, and with its envelope below the browser's 64 KiB for keepalive. */
const BATCH_EVENTS = 100;
const BATCH_BYTES = 48 * 1024;

export interface Outbox {
  /** Queues an event; makes room by giving up the oldest event that is no error, then the oldest. */
  add(item: Item): void;
  /**
   * Takes the next batch: first those that wait for another attempt, then what was queued up to the `upTo`th event ever added.
   * A batch that was taken must come back through `done`, `putBack` or `split`.
   */
  take(upTo: number): Batch | undefined;
  /** The batch is decided: delivered or given up. */
  done(batch: Batch): void;
  /** The batch was not delivered and goes again, before anything newer. */
  putBack(batch: Batch): void;
  /** The batch was too large and goes again in two halves. */
  split(batch: Batch): void;
  /** How many events were ever added. */
  readonly added: number;
  /** Events in the outbox, in any state. */
  readonly size: number;
  /** Events and bytes not yet in any batch. */
  readonly queued: {readonly events: number; readonly bytes: number};
}

export function createOutbox(onOverflow: (kind: string) => void): Outbox {
  let queue: Item[] = [];
  const waiting: Batch[] = [];
  let added = 0;
  let events = 0;
  let bytes = 0;
  let queuedBytes = 0;

  function forget(item: Item): void {
    events--;
    bytes -= item.bytes;
  }

  /** Removes the oldest item that may go; false when all of them are on the wire. */
  function giveUp(mayGo: (item: Item) => boolean): boolean {
    for (const items of [...waiting.map((batch) => batch.items), queue]) {
      const index = items.findIndex(mayGo);
      if (index < 0) continue;
      const [item] = items.splice(index, 1) as [Item];
      if (items === queue) queuedBytes -= item.bytes;
      const emptied = waiting.findIndex((batch) => !batch.items.length);
      if (emptied >= 0) waiting.splice(emptied, 1);
      forget(item);
      onOverflow(item.kind);
      return true;
    }
    return false;
  }

  return {
    add(item) {
      queue.push(item);
      added++;
      events++;
      bytes += item.bytes;
      queuedBytes += item.bytes;
      while (events > MAX_EVENTS || bytes > MAX_BYTES) {
        if (!giveUp(({kind}) => kind !== 'error') && !giveUp(() => true)) break;
      }
    },

    take(upTo) {
      const again = waiting.shift();
      if (again) return again;
      const newer = added - upTo;
      const [first] = queue;
      if (!first || queue.length <= newer) return undefined;
      const {scope} = first;
      const items: Item[] = [];
      let size = 0;
      // Only what belongs to the same page, session and user can share an envelope. The first item always goes, whatever its size.
      for (const item of queue) {
        if (items.length && (items.length >= BATCH_EVENTS || size + item.bytes > BATCH_BYTES)) break;
        if (!sameScope(item.scope, scope)) continue;
        items.push(item);
        size += item.bytes;
      }
      const taken = new Set(items);
      queue = queue.filter((item) => !taken.has(item));
      queuedBytes -= size;
      return {scope, items, attempt: 0};
    },

    done(batch) {
      batch.items.forEach(forget);
    },

    putBack(batch) {
      waiting.unshift(batch);
    },

    split({scope, items, attempt}) {
      const middle = items.length >> 1;
      waiting.unshift({scope, items: items.slice(0, middle), attempt}, {scope, items: items.slice(middle), attempt});
    },

    get added() {
      return added;
    },
    get size() {
      return events;
    },
    get queued() {
      return {events: queue.length, bytes: queuedBytes};
    },
  };
}

/** The parts of a scope are replaced, never changed, so that comparing references is enough. */
function sameScope(a: Scope, b: Scope): boolean {
  return a.page === b.page && a.session === b.session && a.user === b.user && a.tags === b.tags;
}
