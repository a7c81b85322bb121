import { numberOf, countOf, seriesOf, textOf, type Row } from '../api/table.ts';
import { t } from '../i18n/frame.ts';
import { t as own } from '../i18n/overview.ts';
import { VITALS, bandOf, vitalLabel, type Vital } from '../lib/bands.ts';
import { NO_VALUE, formatVital } from '../lib/format.ts';
import { change, view } from '../state/store.ts';
import { BandTag } from './bits.tsx';
import { BandBar } from './BandBar.tsx';
import { Sparkline } from './Sparkline.tsx';
import { Delta } from './StatTile.tsx';

interface Props {
  rows: Row[];
  /** Those of the period before; none when the viewer does not compare. */
  previous: Row[];
  /** The courses of all of them, for the small lines; none without. */
  course?: Row[];
  times?: number[];
}

/** The five web vitals with their bands; choosing one is choosing what the page looks at. */
export function VitalStrip({ rows, previous, course, times }: Props) {
  const find = (all: readonly Row[], vital: Vital) => all.find((row) => textOf(row, 'name') === vital.name);
  return (
    <section class="vitals" aria-label={own('vitals')}>
      {VITALS.map((vital) => (
        <VitalCard key={vital.name} vital={vital} row={find(rows, vital)} before={numberOf(find(previous, vital), 'p75')}
          course={course && times ? seriesOf(course.filter((row) => row['name'] === vital.name), times, 'p75', null) : null} />
      ))}
    </section>
  );
}

function VitalCard({ vital, row, before, course }: { vital: Vital; row: Row | undefined; before: number | null; course: (number | null)[] | null }) {
  const value = numberOf(row, 'p75');
  const band = value === null ? null : bandOf(vital, value);
  const { name } = vital;
  return (
    <button type="button" class={`vital ${band ? `vital-${band}` : ''}`} aria-pressed={view.value.vital === name} title={own('vitalTitle', { name: vitalLabel(name) })} onClick={() => change({ vital: name }, 'replace')}>
      <span class="vital-head"><abbr class="vital-name" title={vitalLabel(name)}>{name}</abbr><Delta change={{ value, before, better: 'down', format: (old) => formatVital(name, old) }} short /></span>
      <span class="vital-number">{value === null ? NO_VALUE : formatVital(name, value)}</span>
      <span class="vital-band">{band && <BandTag band={band} />}</span>
      {course && <Sparkline values={course} />}
      <BandBar good={countOf(row, 'good')} needs={countOf(row, 'needs_improvement')} poor={countOf(row, 'poor')} />
      <span class="vital-samples">{row ? `${t('samples', { n: countOf(row, 'count') })} · p75` : t('noSamples')}</span>
    </button>
  );
}
