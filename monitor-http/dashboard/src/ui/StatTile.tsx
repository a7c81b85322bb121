import type { ComponentChildren } from 'preact';
import { t } from '../i18n/frame.ts';
import { formatChange } from '../lib/format.ts';
import { follow } from './Link.tsx';
import { Icon } from './Icon.tsx';
import { Sparkline } from './Sparkline.tsx';

export interface Change {
  value: number | null;
  before: number | null | undefined;
  /** Which way is good; without it a change is only told. */
  better?: 'up' | 'down';
  /** How the value before is written, for the tooltip. */
  format?: (value: number) => string;
}

interface Props {
  label: string;
  value: string;
  change?: Change | undefined;
  detail?: ComponentChildren;
  /** How many samples the value is made of. */
  samples?: number;
  course?: readonly (number | null)[];
  tone?: 'views' | 'poor' | 'accent';
  href?: string;
}

/** A row of figures that belong together. */
export function Tiles({ label, class: name = '', children }: { label: string; class?: string; children: ComponentChildren }) {
  return <section class={`tiles ${name}`} aria-label={label}>{children}</section>;
}

/** One figure, how it changed, and its course. */
export function StatTile({ label, value, change, detail, samples, course, tone = 'views', href }: Props) {
  const figure = href ? <a href={href} onClick={follow} title={t('seeEvents')}>{value}</a> : value;
  return (
    <div class="tile">
      <p class="tile-label">{label}</p>
      <p class="tile-value">{figure}</p>
      <p class="tile-detail">
        {change && <Delta change={change} />}
        {detail && <span>{detail}</span>}
        {samples !== undefined && <span>{t('samples', { n: samples })}</span>}
      </p>
      {course && <div class={`tile-course course-${tone}`}><Sparkline values={course} kind="line" /></div>}
    </div>
  );
}

/** `▲ +12%`, coloured only when one of the two ways is better. */
export function Delta({ change: { value, before, better, format }, short = false }: { change: Change; short?: boolean }) {
  const text = formatChange(value, before);
  if (text === null || value === null || before == null) return null;
  const way = text.startsWith('±') ? 'same' : value > before ? 'up' : 'down';
  const tone = way === 'same' || !better ? 'plain' : way === better ? 'good' : 'bad';
  return (
    <span class={`delta delta-${tone}`} title={format ? t('versusTitle', { before: format(before) }) : undefined}>
      {way !== 'same' && <Icon name={way} />}{text}{!short && <span class="tile-versus"> {t('versusBefore')}</span>}
    </span>
  );
}
