import {selector} from './selector.js';
import type {Client, NewEvent} from './types.js';

/** Captures what a user did to an element, and leaves a trace of it for later errors. */
export function act(client: Client, element: Element, event: NewEvent): void {
  const target = selector(element);
  client.capture({...event, attributes: {...event.attributes, target}});
  client.addBreadcrumb({category: event.kind, message: target});
}
