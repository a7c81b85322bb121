import { useEffect, useState } from 'preact/hooks';
import { hasToken } from '../api/client.ts';
import { followFigures, type Figures } from '../api/figures.ts';
import { t } from '../i18n/live.ts';
import { VITAL_NAMES } from '../lib/bands.ts';
import { formatCount } from '../lib/format.ts';
import { kindLabel } from '../lib/kinds.ts';
import { view } from '../state/store.ts';
import { VitalValue } from './bits.tsx';
import { StatTile, Tiles } from './StatTile.tsx';

/** A minute of seconds. */
const SECONDS = 60;
const MOST_KINDS = 3;

/** What comes in right now, second by second. Nothing at all where the figures cannot be had. */
export function RightNow({ project }: { project: string }) {
  const { kinds, filters } = view.value;
  const [seconds, setSeconds] = useState<Figures[]>([]);
  const question = JSON.stringify([project, kinds, filters]);
  useEffect(() => {
    setSeconds([]);
    // A token cannot be sent with a WebSocket, and asking without it would only be refused.
    if (hasToken()) return;
    const controller = new AbortController();
    followFigures(project, kinds, filters, (figures) => setSeconds((before) => [...before, figures].slice(-SECONDS)), controller.signal);
    return () => controller.abort();
  }, [question]);

  const last = seconds.at(-1);
  if (!last) return null;
  const of = ({ counts }: Figures, kind?: string) => (kind === undefined ? Object.values(counts).reduce((sum, count) => sum + count, 0) : counts[kind] ?? 0);
  const total = (kind?: string) => seconds.reduce((sum, figures) => sum + of(figures, kind), 0);
  const course = (kind?: string) => seconds.map((figures) => of(figures, kind));
  const seen = [...new Set(seconds.flatMap(({ counts }) => Object.keys(counts)))].sort((a, b) => total(b) - total(a)).slice(0, MOST_KINDS);
  const vitals = VITAL_NAMES.filter((name) => (last.vitals[name]?.count ?? 0) > 0);
  return (
    <Tiles label={t('now')}>
      <StatTile label={t('perSecond')} value={(total() / seconds.length).toFixed(1)} detail={t('perSecondHint', { n: seconds.length })} course={course()} tone="accent" />
      {seen.map((kind) => <StatTile key={kind} label={kindLabel(kind)} value={formatCount(total(kind))} detail={t('lastMinute')} course={course(kind)} tone={kind === 'error' ? 'poor' : 'views'} />)}
      {vitals.slice(0, 2).map((name) => (
        <div class="tile" key={name}>
          <p class="tile-label">{t('median', { name })}</p>
          <p class="tile-value"><VitalValue name={name} value={last.vitals[name]?.p50 ?? null} /></p>
        </div>
      ))}
    </Tiles>
  );
}
