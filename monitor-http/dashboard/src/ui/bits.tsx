// The small pieces every page is made of.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { ApiError } from '../api/client.ts';
import type { Stats } from '../api/types.ts';
import { t } from '../i18n/frame.ts';
import { reasonOf } from '../i18n/reasons.ts';
import { bandLabel, bandOf, vitalByName, type Band } from '../lib/bands.ts';
import { NO_VALUE, formatAgo, formatDateTimeFull, formatVital } from '../lib/format.ts';
import { safeUrl } from '../lib/safe-url.ts';
import type { Resource } from '../state/use-resource.ts';
import { now } from '../state/store.ts';
import { Answered } from './Answered.tsx';
import { Icon, type IconName } from './Icon.tsx';

export const BAND_ICONS: Record<Band, IconName> = { good: 'check', 'needs-improvement': 'warn', poor: 'stop' };

export function BandTag({ band }: { band: Band }) {
  return <span class={`band band-${band}`}><Icon name={BAND_ICONS[band]} />{bandLabel(band)}</span>;
}

/** A vital's value with its band as icon, text for screen readers, and colour. */
export function VitalValue({ name, value }: { name: string; value: number | null }) {
  const vital = vitalByName(name);
  if (!vital || value === null) return <span class="none">{NO_VALUE}</span>;
  const band = bandOf(vital, value);
  return (
    <span class={`vital-value band-${band}`} title={bandLabel(band)}>
      <Icon name={BAND_ICONS[band]} />{formatVital(name, value)}<span class="sr"> {bandLabel(band)}</span>
    </span>
  );
}

export function Ago({ time }: { time: number | null }) {
  return <span class="ago" title={formatDateTimeFull(time)}>{formatAgo(time, now.value)}</span>;
}

/** Text from an event. Linked only when it is an http(s) address. */
export function MaybeLink({ text }: { text: string }) {
  const href = safeUrl(text);
  return href ? <a href={href} target="_blank" rel="noopener noreferrer" class="outside">{text}</a> : <>{text}</>;
}

interface CardProps {
  title?: ComponentChildren;
  actions?: ComponentChildren;
  /** Of the answers it is made of: it says how it was answered. */
  stats?: readonly Stats[] | undefined;
  class?: string;
  children: ComponentChildren;
}

export function Card({ title, actions, stats, class: name = '', children }: CardProps) {
  return (
    <section class={`card ${name}`}>
      {(title || actions || stats) && (
        <header class="card-head">
          {typeof title === 'string' ? <h2>{title}</h2> : title}
          {(actions || stats) && <div class="card-actions">{stats && <Answered stats={stats} />}{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Skeleton({ height }: { height: number }) {
  return <div class="skeleton" style={{ height: `${height}px` }} />;
}

export function ErrorNote({ error, retry, updated }: { error: ApiError; retry(): void; updated?: string }) {
  const { text, detail } = reasonOf(error);
  return (
    <div class={updated ? 'note note-slim' : 'note'} role="alert">
      <Icon name="warn" />
      <p><strong>{updated ? t('updateFailed') : t('loadFailed')}</strong>{t('colon')}{text}{detail && <span class="muted" lang="en">{t('inBrackets', { text: detail })}</span>}{updated && `${t('stop')}${updated}`}{t('stop')}</p>
      <button type="button" class="button" onClick={retry}>{t('tryAgain')}</button>
    </div>
  );
}

interface LoadedProps<T> {
  of: Resource<T>;
  skeleton: ComponentChildren;
  children: (data: T) => ComponentChildren;
}

/** Skeleton until there is data, the error with a way out, and old data marked as such. */
export function Loaded<T>({ of: resource, skeleton, children }: LoadedProps<T>) {
  const { data, error, stale, reload } = resource;
  if (data === undefined) {
    return error ? <ErrorNote error={error} retry={reload} /> : <div class="loading" aria-busy="true"><span class="sr" role="status">{t('loading')}</span>{skeleton}</div>;
  }
  return (
    <div class={stale ? 'loaded stale' : 'loaded'} aria-busy={stale}>
      {error && <ErrorNote error={error} retry={reload} updated={t('numbersBefore')} />}
      {children(data)}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="empty"><p class="empty-title">{title}</p>{children && <p>{children}</p>}</div>;
}

export function CopyButton({ text }: { text: string }) {
  const [said, setSaid] = useState('');
  async function copy() {
    try {
      // Only there in secure contexts; the text can be selected by hand otherwise.
      await navigator.clipboard.writeText(text);
      setSaid(t('copied'));
    } catch {
      setSaid(t('copyByHand'));
    }
    setTimeout(() => setSaid(''), 2500);
  }
  return <button type="button" class="button" onClick={copy}><Icon name="copy" /><span aria-live="polite">{said || t('copy')}</span></button>;
}

interface SegmentsProps<T extends string> {
  label: string;
  options: readonly { value: T; label: string }[];
  value: T;
  onChange(value: T): void;
}

/** One of a few, as a row of toggle buttons. */
export function Segments<T extends string>({ label, options, value, onChange }: SegmentsProps<T>) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map((option) => (
        <button type="button" key={option.value} aria-pressed={option.value === value} onClick={() => onChange(option.value)}>{option.label}</button>
      ))}
    </div>
  );
}
