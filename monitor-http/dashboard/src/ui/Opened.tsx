// What the tables of requests and of resources share: a search, names of addresses, and a row that is opened.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { askEvents } from '../api/client.ts';
import type { Scope } from '../api/queries/common.ts';
import type { EventDocument, EventPage, EventsQuery } from '../api/types.ts';
import { t } from '../i18n/requests.ts';
import { NO_VALUE } from '../lib/format.ts';
import { rangeKey, windowOf } from '../lib/range.ts';
import { change, setParam, view } from '../state/store.ts';
import { useResource, type Resource } from '../state/use-resource.ts';
import { hasFilters } from '../state/url.ts';
import { Card, Empty, Skeleton } from './bits.tsx';
import { Icon } from './Icon.tsx';
import { follow } from './Link.tsx';
import { SessionLink } from './SessionLink.tsx';

export const Waiting = () => <><Skeleton height={110} /><Skeleton height={260} /><Skeleton height={320} /></>;

export function Nothing({ title, children }: { title: string; children: string }) {
  return <Card><Empty title={hasFilters(view.value.filters) ? t('noMatch') : title}>{hasFilters(view.value.filters) ? undefined : children}</Empty></Card>;
}

/** `POST shop.example/api/cart`, without what all addresses of the list begin with. */
export function EndpointName({ method, target, origin = '' }: { method: string; target: string; origin?: string }) {
  return <span class="endpoint" title={target}>{method && <span class="method">{method}</span>}<span class="clip">{target ? shortTarget(target, origin) : t('unknown')}</span></span>;
}

/** Without the protocol, and without the origin that is known anyway. */
export const shortTarget = (target: string, origin = ''): string => (origin && target.startsWith(`${origin}/`) ? target.slice(origin.length) : target.replace(/^https?:\/\//, ''));

/** Opens a row by its two names: method or type, and address. */
export const openRow = (first: string, target: string) => setParam('open', [first, target]);
const closeRow = () => setParam('open', '', 'replace');

export function Search({ label }: { label: string }) {
  const { search } = view.value;
  return (
    <label class="search"><Icon name="search" /><span class="sr">{label}</span>
      <input type="search" class="input" placeholder={label} maxLength={500} value={search} onInput={(event) => change({ search: event.currentTarget.value }, 'replace')} />
    </label>
  );
}

/** The latest events of a question that is asked when something is opened. */
export function useLatest(project: string, key: string, query: (scope: Scope, window: { from: number; to: number }) => EventsQuery): Resource<EventPage> {
  const { range, filters } = view.value;
  return useResource<EventPage>(JSON.stringify(['latest', project, rangeKey(range), filters, key]), (signal) => askEvents(query({ project, filters }, windowOf(range, Date.now())), signal));
}

/** Around what a row opens: it comes into sight by itself, for the row may be far below. */
export function Opened({ children }: { children: ComponentChildren }) {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => { root.current?.scrollIntoView({ block: 'start' }); }, []);
  return <div class="opened" ref={root}>{children}</div>;
}

/** What is left to do with a row that is open. */
export function DetailHead({ children, href }: { children: ComponentChildren; href: string }) {
  return <>{children}<a class="button" href={href} onClick={follow}>{t('allEvents')}</a><button type="button" class="button button-icon" aria-label={t('close')} title={t('close')} onClick={closeRow}><Icon name="close" /></button></>;
}

export function SessionOf({ event: { session, time } }: { event: EventDocument }) {
  return session ? <SessionLink session={session} time={time}>{t('openSession')}</SessionLink> : <>{NO_VALUE}</>;
}

export const member = (data: unknown, key: string): unknown => (data !== null && typeof data === 'object' && Object.hasOwn(data, key) ? (data as Record<string, unknown>)[key] : undefined);
export function numberIn(data: unknown, key: string): number | null {
  const value = member(data, key);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
