import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, needsToken, tokenVersion } from '../api/client.ts';
import { updatedAt, updating } from './store.ts';

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

/**
 * Loads when `key` changes, and again every `refresh` ms (0: never). What is on screen stays until the new answer is there;
 * an answer to an earlier question is aborted and never shown. Nothing is asked while the tab is hidden.
 */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, refresh = 0): Resource<T> {
  const [state, setState] = useState<State<T>>({ key: '', data: undefined, error: undefined });
  const [attempt, setAttempt] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const version = tokenVersion.value;

  useEffect(() => {
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
