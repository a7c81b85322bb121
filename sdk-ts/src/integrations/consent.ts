import {hold, VISITOR} from '../hold.js';
import {use} from '../use.js';
import type {Client, Integration} from '../types.js';

const KEY = 'monitor-kit.consent';

/** What `consent` takes. */
export interface ConsentOptions {
  /** Nothing is captured before `optIn()`; false by default. */
  required?: boolean | undefined;
}

/**
 * Follows the choice of the visitor, which `optIn` and `optOut` keep in `localStorage`, in all tabs; where none was made, Global Privacy
 * Control counts as no. To be the first integration: what comes before it is captured without asking.
 */
export function consent({required = false}: ConsentOptions = {}): Integration {
  return {
    name: 'consent',
    setup(client) {
      hold(client, VISITOR, required || !!(navigator as {globalPrivacyControl?: boolean}).globalPrivacyControl);
      client.listen(window, 'storage', ({key, newValue}: StorageEvent) => key === KEY && follow(client, newValue));
      // Last, as it may be forbidden.
      follow(client, localStorage.getItem(KEY));
    },
  };
}

/** The visitor agrees: captures from now on, on this page and on the next ones. */
export function optIn(): void {
  choose('in');
}

/** The visitor refuses: nothing is captured from now on, and what this device holds, ids and unsent events, is forgotten. */
export function optOut(): void {
  choose('out');
}

function choose(choice: string): void {
  use((client) => follow(client, choice));
  try {
    // Last, as it may be forbidden.
    localStorage.setItem(KEY, choice);
  } catch {
    // Then the choice holds for this page.
  }
}

function follow(client: Client, choice: string | null): void {
  if (choice) hold(client, VISITOR, choice !== 'in');
  if (choice !== 'out') return;
  const {_batches, _remove} = client._delivery;
  _batches().forEach(_remove);
  client.scope = {...client.scope, session: undefined, user: undefined};
  localStorage.removeItem('monitor-kit');
  window.indexedDB?.deleteDatabase(`monitor-kit ${client.endpoint}`);
}
