// The small pieces every page is made of.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { ApiError } from '../api/client.ts';
import { BAND_LABELS, bandOf, vitalByName, type Band } from '../lib/bands.ts';
import { formatDateTimeFull, formatAgo, formatVital } from '../lib/format.ts';
import { safeUrl } from '../lib/safe-url.ts';
import type { Resource } from '../state/use-resource.ts';
import { now } from '../state/store.ts';
import { Icon, type IconName } from './Icon.tsx';

const BAND_ICONS: Record<Band, IconName> = { good: 'check', 'needs-improvement': 'warn', poor: 'stop' };

export function BandTag({ band }: { band: Band }) {
  return <span class={`band band-${band}`}><Icon name={BAND_ICONS[band]} />{BAND_LABELS[band]}</span>;
}

/** A vital's value with its band as icon, text for screen readers, and colour. */
export function VitalValue({ name, value }: { name: string; value: number | null }) {
  const vital = vitalByName(name);
  if (!vital || value === null) return <span class="none">–</span>;
  const band = bandOf(vital, value);
  return (
    <span class={`vital-value band-${band}`} title={BAND_LABELS[band]}>
      <Icon name={BAND_ICONS[band]} />{formatVital(name, value)}<span class="sr"> {BAND_LABELS[band]}</span>
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

export function Card({ title, actions, class: name = '', children }: { title?: ComponentChildren; actions?: ComponentChildren; class?: string; children: ComponentChildren }) {
  return (
    <section class={`card ${name}`}>
      {(title || actions) && <header class="card-head">{title && <h2>{title}</h2>}{actions && <div class="card-actions">{actions}</div>}</header>}
      {children}
    </section>
  );
}

export function Skeleton({ height }: { height: number }) {
  return <div class="skeleton" style={{ height: `${height}px` }} />;
}

export function ErrorNote({ error, retry, updated }: { error: ApiError; retry(): void; updated?: string }) {
  return (
    <div class={updated ? 'note note-slim' : 'note'} role="alert">
      <Icon name="warn" />
      <p><strong>{updated ? 'The last update failed' : 'This could not be loaded'}</strong>: {error.message}{updated}.</p>
      <button type="button" class="button" onClick={retry}>Try again</button>
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
    return error ? <ErrorNote error={error} retry={reload} /> : <div class="loading" aria-busy="true"><span class="sr" role="status">Loading</span>{skeleton}</div>;
  }
  return (
    <div class={stale ? 'loaded stale' : 'loaded'} aria-busy={stale}>
      {error && <ErrorNote error={error} retry={reload} updated=". The numbers below are from before" />}
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
      setSaid('Copied');
    } catch {
      setSaid('Select and copy by hand');
    }
    setTimeout(() => setSaid(''), 2500);
  }
  return <button type="button" class="button" onClick={copy}><Icon name="copy" /><span aria-live="polite">{said || 'Copy'}</span></button>;
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
