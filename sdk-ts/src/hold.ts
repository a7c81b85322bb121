import type {Client} from './types.js';

/** Who can hold a client: the page, by `pause`, and the visitor, who has refused or not yet agreed. */
export const PAGE = 1;
export const VISITOR = 2;

/** Two have a say in whether anything is captured, and neither may take back what the other one wants. */
export function hold(client: Client, who: number, on: boolean): void {
  client._held = on ? client._held! | who : client._held! & ~who;
  client.paused = client._held > 0;
}
