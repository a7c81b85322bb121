import {init} from './init.js';
import type {Early, LoaderStub} from './loader.js';
import {patch} from './patch.js';
import type {Client} from './types.js';

/**
 * Starts the SDK with the options that the loader kept, and does what happened before the script arrived once more: in its
 * order, at its time.
 */
export function adoptLoader({o, q, h}: LoaderStub): Client | undefined {
  // The listeners of integrations on the window get the early events too, so that these are captured like any other. The patched method is
  // that of every target.
  const listeners: [type: string, listener: (event: Event) => void][] = [];
  const unpatch = patch(window, 'addEventListener', (original) => function (...args) {
    const target = this ?? window;
    if (target === window) listeners.push(args as any);
    original.apply(target, args);
  });
  const client = init(o);
  unpatch();
  for (const type of ['error', 'unhandledrejection']) removeEventListener(type, h, true);

  let time = 0;
  client?.process((event) => (time ? {...event, time} : event));
  const replay = ([method, what, at]: Early): void => {
    time = at;
    try {
      if (method) (window as any).MonitorKit[method](...what);
      else for (const [type, listener] of listeners) if (type === what.type) listener(what);
    } catch {
      // What one call was given by mistake must not keep the others from being made.
    }
    time = 0;
  };
  // The functions of the package take the place of the stub when the script has run to its end.
  queueMicrotask(() => {
    q.splice(0).forEach(replay);
    // Who kept the stub in a variable speaks to them from now on.
    q.push = replay as typeof q.push;
  });
  return client;
}
