import { t } from '../i18n/frame.ts';
import { formatDuration } from '../lib/format.ts';

export interface WaterfallRow {
  label: string;
  /** ms since the beginning. */
  start: number;
  duration: number;
  tone?: 'wait' | 'network' | 'server' | 'script' | 'done' | 'bad';
  title?: string;
}

/** Phases one after the other, each where it happened: a table whose last column is drawn. */
export function Waterfall({ title, rows, total }: { title: string; rows: readonly WaterfallRow[]; total?: number }) {
  const end = Math.max(1, total ?? 0, ...rows.map(({ start, duration }) => start + duration));
  const marks = ticksOf(end);
  return (
    <div class="waterfall" role="table" aria-label={title}>
      <div class="waterfall-row waterfall-head" aria-hidden="true">
        <span /><span class="waterfall-track">{marks.map((mark) => <span key={mark} class="waterfall-tick" style={{ left: `${(mark / end) * 100}%` }}>{formatDuration(mark)}</span>)}</span><span />
      </div>
      {rows.map((row, index) => (
        <div class="waterfall-row" role="row" key={index} title={row.title}>
          <span class="waterfall-label" role="rowheader">{row.label}</span>
          <span class="waterfall-track" role="presentation">
            {marks.map((mark) => <span key={mark} class="waterfall-line" style={{ left: `${(mark / end) * 100}%` }} />)}
            <span class={`waterfall-bar tone-${row.tone ?? 'network'}`} style={{ left: `${(row.start / end) * 100}%`, width: `${(row.duration / end) * 100}%` }} />
          </span>
          <span class="waterfall-value" role="cell"><span class="sr">{t('time')} {formatDuration(row.start)}, </span>{formatDuration(row.duration)}</span>
        </div>
      ))}
    </div>
  );
}

/** Four round marks at most. */
function ticksOf(end: number): number[] {
  const rough = end / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step).filter((mark) => mark <= end * 0.97);
}
