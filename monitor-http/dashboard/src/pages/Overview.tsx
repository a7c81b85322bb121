import { useMemo, useRef } from 'preact/hooks';
import { ask } from '../api/client.ts';
import { trafficSeries, trafficTotals, vitalSeries, vitalTotals } from '../api/queries.ts';
import { countOf, numberOf, rowsOf, seriesOf, textOf, type Row } from '../api/table.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { VITALS, bandOf, vitalByName, type Vital, type VitalName } from '../lib/bands.ts';
import { NO_VALUE, formatCount, formatPercent, formatVital, plural, ratio } from '../lib/format.ts';
import { isPartial, rangeKey, refreshEvery, stepsOf, windowOf, type TimeWindow } from '../lib/range.ts';
import { change, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { BandTag, Loaded, Segments, Skeleton } from '../ui/bits.tsx';
import { Sparkline } from '../ui/Sparkline.tsx';

interface Data {
  window: TimeWindow;
  times: number[];
  totals: Row | undefined;
  before: Row | undefined;
  traffic: Row[];
  vitals: Row[];
  vitalCourse: Row[];
}

/** The period before does not change while one looks: it is asked again once a minute at most. */
const BEFORE_AGE = 60_000;

export function Overview({ project }: { project: string }) {
  const { range, filters } = view.value;
  const key = JSON.stringify([project, rangeKey(range), filters]);
  const earlier = useRef<{ key: string; at: number; row: Row | undefined } | null>(null);

  async function load(signal: AbortSignal): Promise<Data> {
    const scope = { project, filters };
    const window = windowOf(range, Date.now());
    const length = window.to - window.from;
    const known = earlier.current?.key === key && Date.now() - earlier.current.at < BEFORE_AGE ? earlier.current : null;
    const [totals, traffic, vitals, vitalCourse, before] = await Promise.all([
      ask(trafficTotals(scope, window), signal), ask(trafficSeries(scope, window), signal),
      ask(vitalTotals(scope, window), signal), ask(vitalSeries(scope, window), signal),
      known || window.from < length ? null : ask(trafficTotals(scope, { from: window.from - length, to: window.from }), signal),
    ]);
    if (before) earlier.current = { key, at: Date.now(), row: rowsOf(before)[0] };
    return {
      window, times: stepsOf(window), totals: rowsOf(totals)[0], before: earlier.current?.key === key ? earlier.current.row : undefined,
      traffic: rowsOf(traffic), vitals: rowsOf(vitals), vitalCourse: rowsOf(vitalCourse),
    };
  }
  const resource = useResource(key, load, refreshEvery(range));
  return (
    <>
      <h1 class="sr">Overview</h1>
      <Loaded of={resource} skeleton={<><Skeleton height={112} /><Skeleton height={190} /><Skeleton height={320} /></>}>
        {(data) => <><Numbers data={data} /><Vitals data={data} /><Trends data={data} /></>}
      </Loaded>
    </>
  );
}

function Numbers({ data: { window, totals, before, traffic, times } }: { data: Data }) {
  const count = (column: string) => countOf(totals, column);
  // A line that ends in a step that has only begun would fall where nothing fell.
  const whole = isPartial(window) ? times.slice(0, -1) : times;
  const course = (column: string) => seriesOf(traffic, whole, column, 0);
  const errorRate = (row: Row | undefined) => ratio(countOf(row, 'count:error'), countOf(row, 'count:page_view'));
  const failureRate = (row: Row | undefined) => ratio(countOf(row, 'failures'), countOf(row, 'count:request'));
  return (
    <section class="numbers" aria-label="Totals of the range">
      <Tile label="Page views" value={formatCount(count('count:page_view'))} change={changeOf(count('count:page_view'), countOf(before, 'count:page_view'))} course={course('count:page_view')} />
      <Tile label="Visitors" value={formatCount(count('visitors'))} change={changeOf(count('visitors'), countOf(before, 'visitors'))} />
      <Tile label="Sessions" value={formatCount(count('sessions'))} change={changeOf(count('sessions'), countOf(before, 'sessions'))} />
      <Tile label="Errors per page view" value={formatPercent(errorRate(totals))} detail={plural(count('count:error'), 'error')} change={changeOf(errorRate(totals), errorRate(before))} course={course('count:error')} tone="poor" />
      <Tile label="Failed requests" value={formatPercent(failureRate(totals))} detail={`${formatCount(count('failures'))} of ${formatCount(count('count:request'))}`} change={changeOf(failureRate(totals), failureRate(before))} course={course('failures')} tone="poor" />
    </section>
  );
}

/** `+12%` or `2.4×` against the period before; `null` when there was nothing then. */
function changeOf(value: number | null, before: number | null): string | null {
  if (value === null || !before) return null;
  const change = value / before - 1;
  if (Math.abs(change) < 0.005) return '±0%';
  const sign = change > 0 ? '+' : '−';
  if (change > 9) return '>10×';
  if (change > 1) return `${(change + 1).toFixed(1)}×`;
  return `${sign}${formatPercent(Math.abs(change))}`;
}

function Tile({ label, value, detail, change: delta, course, tone = 'views' }: { label: string; value: string; detail?: string; change: string | null; course?: number[]; tone?: 'views' | 'poor' }) {
  return (
    <div class="tile">
      <p class="tile-label">{label}</p>
      <p class="tile-value">{value}</p>
      <p class="tile-detail">{detail && <span>{detail}</span>}{delta && <span title="Compared with the period of the same length before">{delta} <span class="tile-versus">vs. before</span></span>}</p>
      {course && <div class={`tile-course course-${tone}`}><Sparkline values={course} kind="line" /></div>}
    </div>
  );
}

function Vitals({ data: { vitals, vitalCourse, times } }: { data: Data }) {
  return (
    <section class="vitals" aria-label="Web vitals, 75th percentile">
      {VITALS.map((vital) => {
        const row = vitals.find((candidate) => textOf(candidate, 'name') === vital.name);
        return <VitalTile key={vital.name} vital={vital} row={row} course={seriesOf(vitalCourse.filter((candidate) => candidate['name'] === vital.name), times, 'p75', null)} />;
      })}
    </section>
  );
}

function VitalTile({ vital, row, course }: { vital: Vital; row: Row | undefined; course: (number | null)[] }) {
  const value = numberOf(row, 'p75');
  const band = value === null ? null : bandOf(vital, value);
  return (
    <button type="button" class={`vital ${band ? `vital-${band}` : ''}`} aria-pressed={view.value.vital === vital.name} title={`${vital.label}: show its trend below`} onClick={() => change({ vital: vital.name }, 'replace')}>
      <span class="vital-head"><abbr class="vital-name" title={vital.label}>{vital.name}</abbr>{band && <BandTag band={band} />}</span>
      <span class="vital-number">{formatVital(vital.name, value)}</span>
      <Sparkline values={course} />
      <Distribution row={row} />
      <span class="vital-samples">{row ? `${plural(countOf(row, 'count'), 'sample')} · p75` : 'No samples'}</span>
    </button>
  );
}

function Distribution({ row }: { row: Row | undefined }) {
  const parts = [{ name: 'good', label: 'good', count: countOf(row, 'good') }, { name: 'needs-improvement', label: 'needs improvement', count: countOf(row, 'needs_improvement') }, { name: 'poor', label: 'poor', count: countOf(row, 'poor') }];
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  return (
    <span class="distribution">
      <span class="distribution-bar" aria-hidden="true">
        {parts.map((part) => part.count > 0 && <span key={part.name} class={`part part-${part.name}`} style={{ flexGrow: part.count }} />)}
      </span>
      <span class="distribution-text">
        {parts.map((part) => <span key={part.name} class={`share share-${part.name}`} title={`${part.label}: ${formatCount(part.count)}`}><span class="sr">{part.label} </span>{total ? formatPercent(part.count / total) : NO_VALUE}</span>)}
      </span>
    </span>
  );
}

function Trends({ data }: { data: Data }) {
  const chosen = view.value.vital;
  const visits = useMemo(() => visitsChart(data), [data]);
  const vital = useMemo(() => vitalChart(data, chosen), [data, chosen]);
  const requests = useMemo(() => requestsChart(data), [data]);
  return (
    <div class="charts">
      <Chart spec={visits} />
      <Chart spec={vital} actions={<Segments<VitalName> label="Web vital" options={VITALS.map(({ name }) => ({ value: name, label: name }))} value={chosen} onChange={(value) => change({ vital: value }, 'replace')} />} />
      <Chart spec={requests} />
    </div>
  );
}

function visitsChart({ window, times, traffic }: Data): ChartSpec {
  return {
    title: 'Page views and errors', times, step: window.step, partial: isPartial(window),
    panels: [
      { weight: 1.6, format: formatCount, series: [{ name: 'Page views', kind: 'bar', color: 'views', values: seriesOf(traffic, times, 'count:page_view', 0) }] },
      { weight: 0.9, format: formatCount, series: [{ name: 'Errors', kind: 'bar', color: 'poor', values: seriesOf(traffic, times, 'count:error', 0) }] },
    ],
  };
}

function vitalChart({ window, times, vitalCourse }: Data, name: VitalName): ChartSpec {
  const rows = vitalCourse.filter((row) => row['name'] === name);
  const vital = vitalByName(name);
  return {
    title: `${name}, 75th percentile`, times, step: window.step, partial: isPartial(window),
    panels: [
      {
        weight: 2, format: (value) => formatVital(name, value),
        series: [{ name: `${name} p75`, kind: 'line', color: 'accent', values: seriesOf(rows, times, 'p75', null) }],
        limits: vital ? [{ value: vital.good, label: 'good', legend: `good up to ${formatVital(name, vital.good)}`, color: 'good' }, { value: vital.poor, label: 'poor', legend: `poor above ${formatVital(name, vital.poor)}`, color: 'poor' }] : [],
      },
      { weight: 0.6, format: formatCount, series: [{ name: 'Samples', kind: 'bar', color: 'requests', values: seriesOf(rows, times, 'count', 0) }] },
    ],
  };
}

function requestsChart({ window, times, traffic }: Data): ChartSpec {
  const all = seriesOf(traffic, times, 'count:request', 0);
  const failed = seriesOf(traffic, times, 'failures', 0);
  return {
    title: 'Requests and failures', times, step: window.step, partial: isPartial(window),
    panels: [
      {
        format: formatCount,
        series: [
          { name: 'Failed', kind: 'bar', stack: 'requests', color: 'poor', values: failed },
          { name: 'Fine', kind: 'bar', stack: 'requests', color: 'requests', values: all.map((count, index) => Math.max(0, count - (failed[index] ?? 0))) },
        ],
      },
    ],
  };
}
