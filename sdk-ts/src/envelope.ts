import type {Batch} from './outbox.js';
import {plain} from './plain.js';
import type {Discarded} from './types.js';

/** Replaced by the build with the version in `package.json`. */
declare const __VERSION__: string | undefined;

export interface EnvelopeContext {
  release: string | undefined;
  environment: string | undefined;
  discarded: Discarded[];
}

/** The body of one request: what all events of a batch share, then the events as they were serialized at capture. */
export function envelope(batch: Batch, {release, environment, discarded}: EnvelopeContext): string {
  const {page, session, user, tags} = batch.scope;
  const head = plain({
    v: 1,
    sdk: {name: 'monitor-kit.browser', version: typeof __VERSION__ === 'string' ? __VERSION__ : 'dev'},
    sent_at: Date.now(),
    attempt: batch.attempt,
    page: {id: page.id, url: page.url, route: page.route, referrer: page.referrer, title: page.title},
    session: {id: session.id, visitor: session.visitor, user},
    release,
    environment,
    device: device(),
    tags,
    discarded: discarded.length ? discarded : undefined,
  });
  return `${JSON.stringify(head).slice(0, -1)},"events":[${batch.items.map((item) => item.json).join(',')}]}`;
}

function device(): Record<string, string | undefined> {
  return {
    screen: `${screen.width}x${screen.height}`,
    viewport: `${innerWidth}x${innerHeight}`,
    language: navigator.language,
    // Not in Firefox and Safari.
    connection: (navigator as {connection?: {effectiveType?: string}}).connection?.effectiveType,
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}
