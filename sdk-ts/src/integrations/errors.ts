import {describeError} from '../describeError.js';
import {scrubUrl} from '../scrubUrl.js';
import type {Client, Integration} from '../types.js';

/** The same error more often than this within a minute is counted instead of sent: one fault in a loop is no news. */
const MAX_REPEATS = 100;
const REPEAT_WINDOW = 60_000;

/** Captures errors and rejections that nobody caught. */
export function errors(): Integration {
  return {
    name: 'errors',
    setup(client) {
      const isFlood = floodGuard();

      const onError = client.guard((event: ErrorEvent) => {
        const {error, message, filename, lineno, colno} = event;
        // Errors of elements do not bubble to here. Of a script from another origin only "Script error." is told.
        if (typeof message !== 'string') return;
        // "Uncaught TypeError: x is undefined" is all there is when the thrown value is not handed over.
        const [, name = 'Error', rest = message] = /^(?:Uncaught )?(?:([A-Z]\w*): )?(.*)$/s.exec(message) ?? [];
        const thrown = describable(error) ? error : {name, message: rest};
        if (isFlood(client, thrown)) return;
        client.captureException(thrown, {
          mechanism: 'onerror',
          handled: false,
          data: {source: filename ? scrubUrl(filename) : undefined, line: lineno || undefined, column: colno || undefined},
        });
      });

      const onRejection = client.guard((event: PromiseRejectionEvent) => {
        const {reason} = event;
        const thrown = describable(reason) ? reason : describeError(reason, 'UnhandledRejection');
        if (isFlood(client, thrown)) return;
        client.captureException(thrown, {mechanism: 'onunhandledrejection', handled: false});
      });

      addEventListener('error', onError);
      addEventListener('unhandledrejection', onRejection);
      return () => {
        removeEventListener('error', onError);
        removeEventListener('unhandledrejection', onRejection);
      };
    },
  };
}

/** Whether a thrown value says itself what it is. Its getters may throw; then it does not. */
function describable(thrown: unknown): boolean {
  try {
    return typeof thrown === 'object' && typeof (thrown as {message?: unknown} | null)?.message === 'string';
  } catch {
    return false;
  }
}

function floodGuard(): (client: Client, thrown: unknown) => boolean {
  const seen = new Map<string, number>();
  let since = 0;
  return (client, thrown) => {
    const now = Date.now();
    if (now - since > REPEAT_WINDOW || seen.size > 500) {
      since = now;
      seen.clear();
    }
    const {name, message} = describeError(thrown);
    const key = `${name} ${message}`.slice(0, 200);
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    if (count <= MAX_REPEATS) return false;
    client.discard('repeated', 'error');
    return true;
  };
}
