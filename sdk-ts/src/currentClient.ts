import {inertClient} from './inertClient.js';
import type {Client} from './types.js';

let client: Client = inertClient;

/** The client that the functions of the package speak to: the last one that `init` made. */
export const currentClient = {
  get: (): Client => client,
  set(next: Client): void {
    client = next;
  },
};
