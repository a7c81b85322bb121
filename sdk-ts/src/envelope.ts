import {plain} from './plain.js';
import type {Batch} from './types.js';

/** Replaced by the build with the version in `package.json`. */
declare const __VERSION__: string | undefined;

/** The body of one request: what all events of a batch share, then the events as they were serialized at capture. */
export function envelope({page, scope: {user, session, ...shared}, items, attempt, discarded}: Batch): string {
  const head = plain({
    v: 1,
    sdk: {name: 'monitor-kit.browser', version: typeof __VERSION__ === 'string' ? __VERSION__ : 'dev'},
    sent_at: Date.now(),
    attempt,
    page,
    session: {...session, user},
    ...shared,
    discarded,
  });
  return `${JSON.stringify(head).slice(0, -1)},"events":[${items.map(({json}) => json)}]}`;
}
