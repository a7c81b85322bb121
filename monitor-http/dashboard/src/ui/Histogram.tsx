import { useState } from 'preact/hooks';
import type { Bin } from '../api/table.ts';
import type { Stats } from '../api/types.ts';
import { t } from '../i18n/frame.ts';
import { bandLabel, type Band } from '../lib/bands.ts';
import { formatCount, formatPercent } from '../lib/format.ts';
import { binsFor, type Bar } from '../lib/histogram.ts';
import { Card } from './bits.tsx';
import { TableButton } from './TableButton.tsx';

interface Props {
  title: string;
  bins: readonly Bin[];
  format(value: number): string;
  /** Up to it a value is good, above `poor` it is poor. */
  good?: number | undefined;
  poor?: number | undefined;
  stats?: readonly Stats[] | undefined;
}

const HEIGHT = 260;
/** Beyond this share of the width, %, the name of a limit would leave the card at its right. */
const LAST_LABEL = 85;

/** How the values spread: bars of equal width on the way from the smallest to the 99th hundredth, the rest in the last one. */
export function Histogram({ title, bins, format, good, poor, stats }: Props) {
  const [asTable, setAsTable] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const { bars, total, beyond } = binsFor(bins, good !== undefined && poor !== undefined ? [good, poor] : []);
  const bandOf = (lower: number): Band | null => (good === undefined || poor === undefined ? null : lower < good ? 'good' : lower < poor ? 'needs-improvement' : 'poor');
  // Areas are what one compares, so that a bar that is a little wider is not higher for it.
  const density = (bar: Bar) => bar.count / (bar.upper - bar.lower);
  const top = Math.max(...bars.slice(0, beyond > 0 ? -1 : undefined).map(density)) || 1;
  const [first, last] = [bars[0], bars.at(-1)];
  const span = first && last ? last.upper - first.lower : 1;
  const place = (value: number) => (first ? ((value - first.lower) / span) * 100 : 0);
  const shown = at === null ? null : bars[at];
  return (
    <Card title={title} stats={stats} actions={<TableButton title={title} asTable={asTable} toggle={() => setAsTable(!asTable)} />} class="chart-card">
      {total === 0 || !first || !last ? <p class="empty">{t('noSamples')}</p> : asTable ? (
        <div class="table-scroll histogram-table" tabIndex={0} role="region" aria-label={t('tableLabel', { title })}>
          <table class="table">
            <caption class="sr">{title}</caption>
            <thead><tr><th scope="col" class="num">{t('lower')}</th><th scope="col" class="num">{t('upper')}</th><th scope="col">{t('rating')}</th><th scope="col" class="num">{t('count')}</th><th scope="col" class="num">{t('share')}</th></tr></thead>
            <tbody>{bars.map((bar) => { const band = bandOf(bar.lower); return (
              <tr key={bar.lower}><td class="num">{format(bar.lower)}</td><td class="num">{bar === last && beyond > 0 ? '∞' : format(bar.upper)}</td><td>{band && bandLabel(band)}</td><td class="num">{formatCount(bar.count)}</td><td class="num">{formatPercent(bar.count / total)}</td></tr>
            ); })}</tbody>
          </table>
        </div>
      ) : (
        <div class="histogram" role="img" aria-label={t('histogramLabel', { title, n: Math.round(total), lower: format(first.lower), upper: format(last.upper) })}>
          <svg viewBox={`0 0 1000 ${HEIGHT}`} preserveAspectRatio="none" class="histogram-bars" aria-hidden="true" onMouseLeave={() => setAt(null)}>
            {bars.map((bar, index) => {
              const [x, end] = [place(bar.lower) * 10, place(bar.upper) * 10];
              const height = Math.min(1, density(bar) / top) * (HEIGHT - 6);
              return (
                <g key={bar.lower} onMouseEnter={() => setAt(index)} class={at === index ? 'histogram-at' : ''}>
                  <rect x={x} y={0} width={end - x} height={HEIGHT} class="histogram-hit" />
                  <rect x={x + 0.6} y={HEIGHT - height} width={Math.max(0.8, end - x - 1.2)} height={height} class={`histogram-bar bar-${bandOf(bar.lower) ?? 'plain'}`} />
                </g>
              );
            })}
          </svg>
          {[good, poor].map((limit, index) => limit !== undefined && limit > first.lower && limit < last.upper && (
            <span key={limit} class={`histogram-limit limit-${index === 0 ? 'good' : 'poor'} ${place(limit) > LAST_LABEL ? 'limit-end' : ''}`} style={{ left: `${place(limit)}%` }}><span>{format(limit)}</span></span>
          ))}
          <p class="histogram-axis" aria-hidden="true"><span>{format(first.lower)}</span><span>{format(last.upper)}{beyond > 0 ? '+' : ''}</span></p>
          <p class="histogram-said" aria-hidden="true">{shown ? `${format(shown.lower)} – ${shown === last && beyond > 0 ? '∞' : format(shown.upper)}: ${formatCount(shown.count)} (${formatPercent(shown.count / total)})` : t('samples', { n: Math.round(total) })}</p>
        </div>
      )}
    </Card>
  );
}
