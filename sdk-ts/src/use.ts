import {current} from './current.js';
import type {Client} from './types.js';

/** Does something with the current client, if there is one; never throws. */
export function use(action: (client: Client) => void): void {
  const {_client} = current;
  _client?.guard(action)(_client);
}
