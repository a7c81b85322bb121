import { useMemo } from 'preact/hooks';
import { releases } from '../api/queries/common.ts';
import { people, peopleCourse, traffic, trafficBefore, vitals, vitalsBefore } from '../api/queries/overview.ts';
import { countOf, moved, numberOf, seriesOf, type Row } from '../api/table.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec, Mark } from '../charts/spec.ts';
import { t as common } from '../i18n/frame.ts';
import { language } from '../i18n/index.ts';
import { t } from '../i18n/overview.ts';
import { vitalByName, type VitalName } from '../lib/bands.ts';
import { formatCount, formatDurationTick, formatPercent, formatVital, ratio } from '../lib/format.ts';
import { earlier, isPartial } from '../lib/range.ts';
import { releaseMarks } from '../lib/releases.ts';
import { view } from '../state/store.ts';
import { useQuery, type Answers } from '../state/use-query.ts';
import { Loaded, Skeleton } from '../ui/bits.tsx';
import { Link, eventsHref } from '../ui/Link.tsx';
import { StatTile, Tiles } from '../ui/StatTile.tsx';
import { VitalStrip } from '../ui/VitalStrip.tsx';

type Data = Answers<'traffic' | 'before' | 'people' | 'peopleCourse' | 'vitals' | 'vitalsBefore' | 'releases'>;

export function Overview({ project }: { project: string }) {
  const resource = useQuery(project, (scope, window) => ({
    traffic: traffic(scope, window), before: trafficBefore(scope, window), people: people(scope, window), peopleCourse: peopleCourse(scope, window),
    vitals: vitals(scope, window), vitalsBefore: vitalsBefore(scope, window), releases: releases(scope, window),
  }));
  return (
    <>
      <h1 class="sr">{common('overview')}</h1>
      <Loaded of={resource} skeleton={<><Skeleton height={128} /><Skeleton height={190} /><Skeleton height={320} /></>}>
        {(data) => (
          <>
            <Numbers data={data} />
            <VitalStrip rows={data.tables.vitals.totals} previous={data.tables.vitalsBefore.rows} course={data.tables.vitals.rows} times={whole(data)} />
            <Trends data={data} />
          </>
        )}
      </Loaded>
    </>
  );
}

/** A line that ends in a step that has only begun would fall where nothing fell. */
const whole = ({ window, times }: Data): number[] => (isPartial(window) ? times.slice(0, -1) : times);

const sumOf = (rows: readonly Row[], column: string): number => rows.reduce((sum, row) => sum + countOf(row, column), 0);

function Numbers({ data }: { data: Data }) {
  const { traffic: series, before: seriesBefore, people: persons, peopleCourse: personsCourse } = data.tables;
  const times = whole(data);
  const now = (column: string) => sumOf(series.rows, column);
  const before = (column: string) => sumOf(seriesBefore.rows, column);
  const course = (column: string) => seriesOf(series.rows, times, column, 0);
  const crowd = (column: string) => seriesOf(personsCourse.rows, times, column, 0);
  const rate = (part: (column: string) => number | null, of: string, all: string) => ratio(part(of), part(all));
  const compared = (column: 'visitors' | 'sessions') => ({ value: countOf(persons.rows[0], column), before: numberOf(persons.previous?.[0], column), format: formatCount });
  return (
    <Tiles label={t('totals')}>
      <StatTile label={common('visitors')} value={formatCount(countOf(persons.rows[0], 'visitors'))} change={compared('visitors')} course={crowd('visitors')} />
      <StatTile label={common('sessions')} value={formatCount(countOf(persons.rows[0], 'sessions'))} change={compared('sessions')} course={crowd('sessions')} />
      <StatTile label={common('pageViews')} value={formatCount(now('count:page_view'))} href={eventsHref({ kinds: ['page_view'] })}
        change={{ value: now('count:page_view'), before: before('count:page_view'), format: formatCount }} course={course('count:page_view')} />
      <StatTile label={t('errorRate')} value={formatPercent(rate(now, 'count:error', 'count:page_view'))} detail={t('nErrors', { n: now('count:error') })} href={eventsHref({ kinds: ['error'] })} tone="poor"
        change={{ value: rate(now, 'count:error', 'count:page_view'), before: rate(before, 'count:error', 'count:page_view'), better: 'down', format: formatPercent }} course={course('count:error')} />
      <StatTile label={t('failureRate')} value={formatPercent(rate(now, 'failures', 'count:request'))} detail={t('partOf', { part: formatCount(now('failures')), total: formatCount(now('count:request')) })}
        href={eventsHref({ kinds: ['request'], filters: { failure: ['network', 'timeout', 'abort', 'http', 'business'] } })} tone="poor"
        change={{ value: rate(now, 'failures', 'count:request'), before: rate(before, 'failures', 'count:request'), better: 'down', format: formatPercent }} course={course('failures')} />
    </Tiles>
  );
}

function Trends({ data }: { data: Data }) {
  const chosen = view.value.vital;
  const written = language.value;
  const marks = useMemo(() => releaseMarks(data.tables.releases.rows, data.times), [data]);
  const views = useMemo(() => viewsChart(data, marks), [data, marks, written]);
  const persons = useMemo(() => peopleChart(data, marks), [data, marks, written]);
  const vital = useMemo(() => vitalChart(data, chosen, marks), [data, chosen, marks, written]);
  const requests = useMemo(() => requestsChart(data, marks), [data, marks, written]);
  const { tables } = data;
  return (
    <div class="charts">
      <Chart spec={views} stats={[tables.traffic.stats, ...(tables.before.rows.length > 0 ? [tables.before.stats] : [])]} />
      <Chart spec={vital} stats={[tables.vitals.stats]} actions={<Link page="performance" change={{ vital: chosen }} class="more" title={t('toPerformance')}>{common('performance')}</Link>} />
      <Chart spec={persons} stats={[tables.peopleCourse.stats, tables.people.stats]} />
      <Chart spec={requests} stats={[tables.traffic.stats]} />
    </div>
  );
}

function chartOf(data: Data, title: string, panels: ChartSpec['panels'], marks: Mark[]): ChartSpec {
  return { title, times: data.times, step: data.window.step, zone: data.window.zone, partial: isPartial(data.window), panels, ...(marks.length > 0 && { marks }) };
}

function viewsChart(data: Data, marks: Mark[]): ChartSpec {
  const { traffic: { rows }, before } = data.tables;
  const then = earlier(data.window);
  return chartOf(data, t('viewsAndErrors'), [
    {
      weight: 1.6, format: formatCount,
      series: [
        { name: common('pageViews'), kind: 'bar', color: 'views', values: seriesOf(rows, data.times, 'count:page_view', 0) },
        ...(then && before.rows.length > 0 ? [{ name: t('viewsBefore'), kind: 'line' as const, color: 'muted' as const, dashed: true, values: seriesOf(moved(before.rows, data.window.from - then.from), data.times, 'count:page_view', 0) }] : []),
      ],
    },
    { weight: 0.9, format: formatCount, series: [{ name: common('errors'), kind: 'bar', color: 'poor', values: seriesOf(rows, data.times, 'count:error', 0) }] },
  ], marks);
}

function peopleChart(data: Data, marks: Mark[]): ChartSpec {
  const { rows } = data.tables.peopleCourse;
  return chartOf(data, t('people'), [{
    format: formatCount,
    series: [
      { name: common('visitors'), kind: 'area', color: 'views', values: seriesOf(rows, data.times, 'visitors', 0) },
      { name: common('sessions'), kind: 'line', color: 'c5', values: seriesOf(rows, data.times, 'sessions', 0) },
    ],
  }], marks);
}

function vitalChart(data: Data, name: VitalName, marks: Mark[]): ChartSpec {
  const rows = data.tables.vitals.rows.filter((row) => row['name'] === name);
  const vital = vitalByName(name);
  return chartOf(data, t('p75Of', { name }), [
    {
      weight: 2, format: (value) => formatVital(name, value), ...(name !== 'CLS' && { tick: formatDurationTick }),
      series: [{ name: `${name} p75`, kind: 'line', color: 'accent', values: seriesOf(rows, data.times, 'p75', null) }],
      limits: vital ? [
        { value: vital.good, label: common('good'), legend: t('goodUpTo', { value: formatVital(name, vital.good) }), color: 'good' },
        { value: vital.poor, label: common('poor'), legend: t('poorAbove', { value: formatVital(name, vital.poor) }), color: 'poor' },
      ] : [],
    },
    { weight: 0.6, format: formatCount, series: [{ name: t('samples'), kind: 'bar', color: 'requests', values: seriesOf(rows, data.times, 'count', 0) }] },
  ], marks);
}

function requestsChart(data: Data, marks: Mark[]): ChartSpec {
  const { rows } = data.tables.traffic;
  const all = seriesOf(rows, data.times, 'count:request', 0);
  const failed = seriesOf(rows, data.times, 'failures', 0);
  return chartOf(data, t('requestsAndFailures'), [{
    format: formatCount,
    series: [
      { name: t('failed'), kind: 'bar', stack: 'requests', color: 'poor', values: failed },
      { name: t('fine'), kind: 'bar', stack: 'requests', color: 'requests', values: all.map((count, index) => Math.max(0, count - (failed[index] ?? 0))) },
    ],
  }], marks);
}
