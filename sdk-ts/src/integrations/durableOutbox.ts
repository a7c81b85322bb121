import type {Batch, Integration} from '../types.js';

const STORE = 'visits';
/** How often what is stored is brought up to date, ms. */
const INTERVAL = 1_000;
/** Every so many times it looks at what others left: a visit that ends before would only add to the repeats. */
const LOOK = 4;
const MINUTE = 60_000;
/** A page that is alive says so every minute; one that was not heard of for this long crashed, minutes. */
const CRASHED = 3;
/** Minutes. */
const MAX_AGE = 72 * 60;

/**
 * Keeps what is not yet delivered in IndexedDB, so that what an outage, a reload or a closed tab leaves is sent by the next visit: as a
 * repeat, with the same ids, so that the receiver stores it once even if it had arrived. Each visit takes over what others
 * left, so there is never more than a queue holds, and nothing that is older than 72 hours.
 *
 * A crash takes the last second along. Without IndexedDB the queue lives as long as the page.
 */
export function durableOutbox(): Integration {
  return {
    name: 'durableOutbox',
    setup(client) {
      const {_batches, _adopt} = client._delivery;
      /** Under this key is what this page still has to send: as JSON, the minute when it last said that it will, 0 if others may, and the batches. */
      const {id} = client.page;
      let stored = '';
      /** How often it looked, or could have, while the page was visible. */
      let ticks = 0;
      let request: IDBOpenDBRequest | undefined;

      function open(): void {
        request = indexedDB.open(`monitor-kit ${client.endpoint}`);
        request.onupgradeneeded = () => request!.result.createObjectStore(STORE);
        // An error that nobody prevents would reach the page in Firefox.
        request.onerror = (event) => event.preventDefault();
        request.onsuccess = () => {
          const {result} = request!;
          // `optOut` deletes the database, perhaps in another tab; who agrees again gets a new one.
          result.onclose = result.onversionchange = () => {
            result.close();
            request = undefined;
            stored = '';
          };
          result.onerror = request!.onerror as any;
        };
      }

      function sync(): void {
        const left = client.paused || document.visibilityState === 'hidden';
        // Others may send it from now on, so whatever this page sends of it may be a repeat.
        if (left) for (const batch of _batches()) batch.attempt ||= 1;
        try {
          // Of a visitor who has not agreed nothing is stored, not even an empty database.
          if (!client.paused && !request) open();
          // At least once; then only while there is something to do anyway.
          const look = !left && ++ticks % LOOK === 0;
          if (!stored && !_batches().length && ticks !== LOOK) return;
          const store = request!.result.transaction(STORE, 'readwrite').objectStore(STORE);
          if (look) store.openCursor().onsuccess = take;
          else write(store, left);
        } catch {
          // It is forbidden, not open yet, or not ours.
        }
      }

      /**
       * Asked about one page after the other: takes over what no living one will send. Anybody on this origin may have written there:
       * what cannot be read is only deleted.
       */
      const take = client.guard(({target}: Event) => {
        const {result: cursor, source} = target as IDBRequest<IDBCursorWithValue | null>;
        const store = source as IDBObjectStore;
        const minute = Date.now() / MINUTE;
        // After `optOut` there is nothing to take over any more.
        if (!cursor || client.paused) return write(store);
        const {key, value} = cursor;
        cursor.continue();
        if (key === id) return;
        store.delete(key);
        const [alive, batches]: [number, Batch[]] = JSON.parse(value);
        if (Math.abs(minute - alive) < CRASHED) store.put(value, key);
        else {
          for (const batch of batches) {
            const {id, scope, items, discarded} = batch;
            const intact = scope && discarded.every(({count}) => count > 0) && items.every(({bytes}) => bytes > 0);
            if (intact && minute - parseInt(id.slice(0, 12), 16) / MINUTE < MAX_AGE) _adopt({...batch, attempt: batch.attempt || 1});
            else items.forEach((item) => client.discard('expired', item));
          }
        }
      });

      function write(store: IDBObjectStore, left?: boolean): void {
        const batches = _batches();
        const text = batches.length ? JSON.stringify([left ? 0 : Math.floor(Date.now() / MINUTE), batches]) : '';
        if (!text) store.delete(id);
        else if (text !== stored) store.put(text, id);
        stored = text;
        // Without this, a page that is closed now would take its transaction along.
        store.transaction.commit?.();
      }

      sync();
      const timer = setInterval(sync, INTERVAL);
      // Registered after the client's own, which does not capture either: what was handed over is stored as sent once.
      client.listen(document, 'visibilitychange', sync, {});
      return () => {
        clearInterval(timer);
        // The last events are stored at once, and given a moment to be delivered; what is left then is for the next visit. A client
        // that is closed is paused by then.
        setTimeout(sync);
        setTimeout(sync, 3 * INTERVAL);
      };
    },
  };
}
