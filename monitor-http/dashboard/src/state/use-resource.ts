import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiError, needsToken, tokenVersion } from '../api/client.ts';
import { refreshes, updatedAt, updating } from './store.ts';

export interface Resource<T> {
  data: T | undefined;
  error: ApiError | undefined;
  /** True while `data` answers an earlier question than the one asked now. */
  stale: boolean;
  reload(): void;
}

interface State<T> {
  key: string;
  data: T | undefined;
  error: ApiError | undefined;
}

const LONGEST_WAIT = 60_000;

/** The last answers by token and question, so that a page one comes back to is there at once; it is asked again all the same. */
const kept = new Map<string, unknown>();
const KEPT = 24;

function keep(key: string, data: unknown): void {
  kept.delete(key);
  kept.set(key, data);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
}

export function forgetAnswers(): void {
  kept.clear();
}

/**
 * Loads when `key` changes, and again every `refresh` ms (0: never). What is on screen stays until the new answer is there;
 * an answer to an earlier question is aborted and never shown. Nothing is asked while the tab is hidden.
 * With `remember` the key must name the whole question: the answer is shown at once when it is asked again later.
 */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, refresh = 0, remember = false): Resource<T> {
  const version = tokenVersion.value;
  const name = `${version} ${key}`;
  const [state, setState] = useState<State<T>>(() => (remember && kept.has(name) ? { key, data: kept.get(name) as T, error: undefined } : { key: '', data: undefined, error: undefined }));
  const [attempt, setAttempt] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  // With the layout, so that one page takes over from the other before the header is drawn again.
  useLayoutEffect(() => (refresh > 0 ? refreshes(refresh) : undefined), [refresh]);

  useEffect(() => {
    if (remember && kept.has(name)) setState((before) => (before.key === key ? before : { key, data: kept.get(name) as T, error: undefined }));
    const controller = new AbortController();
    const { signal } = controller;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let missed = false;
    let failures = 0;
    let loaded = false;

    async function run() {
      if (document.hidden && failures === 0 && loaded) {
        missed = true;
        return;
      }
      try {
        const data = await latest.current(signal);
        if (signal.aborted) return;
        failures = 0;
        loaded = true;
        updatedAt.value = Date.now();
        updating.value = true;
        if (remember) keep(name, data);
        setState({ key, data, error: undefined });
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        updating.value = false;
        const shown = error instanceof ApiError ? error : new ApiError(0, 'unexpected', String(error));
        setState((before) => ({ key, data: before.key === key ? before.data : undefined, error: shown }));
      }
      if (refresh > 0 && !needsToken.peek()) timer = setTimeout(run, Math.min(refresh * 2 ** failures, Math.max(refresh, LONGEST_WAIT)));
    }

    function onVisible() {
      if (document.hidden || !missed) return;
      missed = false;
      void run();
    }
    document.addEventListener('visibilitychange', onVisible);
    void run();
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [key, refresh, attempt, version]);

  return { data: state.data, error: state.key === key ? state.error : undefined, stale: state.key !== key, reload: () => setAttempt((count) => count + 1) };
}
