// Every page is a chunk of its own: one loads what one looks at.

import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError } from '../api/client.ts';
import { ErrorNote, Skeleton } from '../ui/bits.tsx';

function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Lazy(props: P) {
    const [, setVersion] = useState(0);
    const [failed, setFailed] = useState(false);
    const [attempt, setAttempt] = useState(0);
    useEffect(() => {
      if (loaded) return;
      let gone = false;
      setFailed(false);
      load().then((component) => {
        loaded = component;
        if (!gone) setVersion((version) => version + 1);
      }, () => { if (!gone) setFailed(true); });
      return () => { gone = true; };
    }, [attempt]);
    if (loaded) {
      const Loaded = loaded;
      return <Loaded {...props} />;
    }
    // A failed import is remembered by the browser, and after an update its file is gone: only loading the page again helps.
    if (failed) return <ErrorNote error={new ApiError(0, 'unreachable')} retry={() => (attempt > 0 ? location.reload() : setAttempt(attempt + 1))} />;
    return <div class="loading" aria-busy="true"><Skeleton height={112} /><Skeleton height={280} /></div>;
  };
}

type Page = { project: string };

export const Overview = lazy<Page>(async () => (await import('./Overview.tsx')).Overview);
export const Performance = lazy<Page>(async () => (await import('./Performance.tsx')).Performance);
export const Errors = lazy<Page>(async () => (await import('./Errors.tsx')).Errors);
export const ErrorDetail = lazy<Page & { fingerprint: string }>(async () => (await import('./ErrorDetail.tsx')).ErrorDetail);
export const Requests = lazy<Page>(async () => (await import('./Requests.tsx')).Requests);
export const Behaviour = lazy<Page>(async () => (await import('./Behaviour.tsx')).Behaviour);
export const Sessions = lazy<Page>(async () => (await import('./Sessions.tsx')).Sessions);
export const SessionDetail = lazy<Page & { session: string }>(async () => (await import('./SessionDetail.tsx')).SessionDetail);
export const Live = lazy<Page>(async () => (await import('./Live.tsx')).Live);
export const Events = lazy<Page>(async () => (await import('./Events.tsx')).Events);
export const System = lazy<Page>(async () => (await import('./System.tsx')).System);
