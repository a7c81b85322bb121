import {current} from './current.js';
import {hold, PAGE} from './hold.js';
import {plain} from './plain.js';
import {reported} from './reported.js';
import {text} from './text.js';
import {texts} from './texts.js';
import {use} from './use.js';
import {worded} from './worded.js';
import type {Breadcrumb, Client, ExceptionHint, Level, Properties, User} from './types.js';

// What a page can tell the client that was started last. Functions and not methods, so that what is not imported is not shipped; none of
// them throws, and without a client they do nothing.

/** Reports an error that was caught. Anything can be passed, as anything can be thrown. */
export function captureException(error: unknown, hint?: ExceptionHint): void {
  if (Object(error) === error) reported.add(error as object);
  current._client?.captureException(error, hint);
}

/** Reports a text; `info` by default. */
export function captureMessage(message: string, level: Level = 'info'): void {
  use((client) => client.capture({kind: 'message', name: level, attributes: {level}, data: {message: text(message, 10_000)}}));
}

/** Reports something of your own, with an optional number to aggregate. */
export function track(name: string, properties?: object, value?: number): void {
  // Whatever is passed: no number is null in JSON, which the receiver takes for none, and details have to be an object.
  use((client) => client.capture({kind: 'track', name, value: +value!, data: Object(plain(properties))}));
}

/** Leaves a trace that later errors carry with them, when the integration `breadcrumbs` runs. */
export function addBreadcrumb(breadcrumb: Breadcrumb): void {
  current._client?.addBreadcrumb(breadcrumb);
}

/** Names who is using the page from now on, by an id or by more than that; `null` forgets. */
export function setUser(user: User | string | number | null): void {
  use((client) => {
    const id = worded(user);
    const given = id ? {id} : user;
    if (given && typeof given !== 'object') return;
    // What is no text and no number is no use.
    const kept = Object.entries(plain(given ?? {}) as User).filter(([, value]) => worded(value));
    // Ids are texts in the protocol, and numbers in many a database.
    const members = kept.map(([key, value]) => [key, key === 'id' ? worded(value) : value]);
    client.scope = {...client.scope, user: given ? Object.fromEntries(members) : undefined};
  });
}

/** Sets a text that all later events carry; `null` removes it. */
export function setTag(key: string, value: string | null): void {
  use((client) => {
    client.scope = {...client.scope, tags: texts({...client.scope.tags, [key]: value ?? undefined})};
  });
}

/** Clients whose events are given their contexts. */
const withContexts = /* @__PURE__ */ new WeakSet<Client>();

/** Sets details that all later errors and messages carry in `data.contexts`; `null` removes them. */
export function setContext(name: string, context: Properties | null): void {
  use((client) => {
    if (!withContexts.has(client)) {
      withContexts.add(client);
      client.process((event) => (/^(error|message)$/.test(event.kind) ? {...event, data: {...event.data, contexts: client.contexts}} : event));
    }
    client.contexts = {...client.contexts, [name]: plain(context ?? undefined)};
  });
}

/** Runs `callback` and gives what it gives; user, tags and contexts that it sets hold until it returns; of an `async` one, until its first `await`. */
export function withScope<Value>(callback: () => Value): Value {
  const {_client: client} = current;
  const {scope, contexts} = client ?? {};
  try {
    return callback();
  } finally {
    if (client && scope) Object.assign(client, {scope, contexts});
  }
}

/** Begins a new page view, for instance a step of a wizard that has no address of its own. */
export function startView(route?: string): void {
  use((client) => {
    client.startPage('', worded(route));
    client.capture({kind: 'page_view', name: 'page_view', attributes: {navigation_type: 'view'}});
  });
}

/** Captures and sends nothing until `resume`; what is already queued waits. */
export function pause(): void {
  use((client) => {
    hold(client, PAGE, true);
    client._delivery._stop();
  });
}

/** Captures and sends again after `pause`, unless the visitor has not agreed; what waited goes now. */
export function resume(): void {
  use((client) => {
    hold(client, PAGE, false);
    client._delivery._online();
  });
}

/** Sends what is queued. True when nothing was left waiting within `timeoutMs` (default 2,000). */
export async function flush(timeoutMs?: number): Promise<boolean> {
  return (await current._client?.flush(timeoutMs)) ?? true;
}

/** Undoes every patch, sends what is queued, and stops. */
export async function close(timeoutMs?: number): Promise<boolean> {
  return (await current._client?.close(timeoutMs)) ?? true;
}
