import { useMemo } from 'preact/hooks';
import { askEvents } from '../api/client.ts';
import { vitalsBefore } from '../api/queries/overview.ts';
import { BREAKDOWNS, breakdown, latestLoads, loads, percentiles, poorTargets, routeVitals, spread, type Breakdown } from '../api/queries/performance.ts';
import { binsOf, countOf, groupedBy, numberOf, seriesOf, textOf, type Row } from '../api/table.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { fieldLabel, t as common } from '../i18n/frame.ts';
import { language } from '../i18n/index.ts';
import { t } from '../i18n/performance.ts';
import { VITALS, vitalByName, vitalLabel, type VitalName } from '../lib/bands.ts';
import { formatCount, formatDuration, formatDurationTick, formatPercent, formatVital, ratio } from '../lib/format.ts';
import { meanPhases, type Phase } from '../lib/phases.ts';
import { isPartial, rangeKey, windowOf } from '../lib/range.ts';
import { change, setParam, view } from '../state/store.ts';
import { paramOf, withFilter, type Filters } from '../state/url.ts';
import { useQuery, type Answers } from '../state/use-query.ts';
import { useResource } from '../state/use-resource.ts';
import { BandBar } from '../ui/BandBar.tsx';
import { Card, Empty, Loaded, Skeleton, VitalValue } from '../ui/bits.tsx';
import { DataTable, type Column } from '../ui/DataTable.tsx';
import { Histogram } from '../ui/Histogram.tsx';
import { EventsLink } from '../ui/Link.tsx';
import { VitalStrip } from '../ui/VitalStrip.tsx';
import { Waterfall, type WaterfallRow } from '../ui/Waterfall.tsx';

export function Performance({ project }: { project: string }) {
  const name = view.value.vital;
  const figures = useQuery(project, (scope, window) => ({ vitals: percentiles(scope, window), before: vitalsBefore(scope, window) }));
  return (
    <>
      <h1 class="sr">{common('performance')}</h1>
      <div class="stack">
        <Loaded of={figures} skeleton={<Skeleton height={190} />}>{(answers) => <Strip answers={answers} />}</Loaded>
        <div class="two-thirds">
          <Loaded of={figures} skeleton={<Skeleton height={340} />}>{(answers) => <Course answers={answers} name={name} />}</Loaded>
          <Spread project={project} name={name} />
        </div>
        <div class="halves">
          <ByField project={project} name={name} />
          <Loads project={project} />
        </div>
        <Routes project={project} name={name} />
      </div>
    </>
  );
}

type Figures = Answers<'vitals' | 'before'>;

function Strip({ answers: { tables, times, window } }: { answers: Figures }) {
  return <VitalStrip rows={tables.vitals.totals} previous={tables.before.rows} course={tables.vitals.rows} times={isPartial(window) ? times.slice(0, -1) : times} />;
}

function Course({ answers, name }: { answers: Figures; name: VitalName }) {
  const written = language.value;
  const spec = useMemo(() => courseOf(answers, name), [answers, name, written]);
  return <Chart spec={spec} height={290} stats={[answers.tables.vitals.stats]} actions={<EventsLink kinds={['vital']} filters={{ name: [name] }} class="more">{common('eventsPage')}</EventsLink>} />;
}

function courseOf({ tables, times, window }: Figures, name: VitalName): ChartSpec {
  const rows = tables.vitals.rows.filter((row) => row['name'] === name);
  return {
    title: t('percentiles', { name }), times, step: window.step, zone: window.zone, partial: isPartial(window),
    panels: [
      {
        weight: 2.4, format: (value) => formatVital(name, value), ...(name !== 'CLS' && { tick: formatDurationTick }),
        series: [
          { name: t('p50'), kind: 'line', color: 'c6', values: seriesOf(rows, times, 'p50', null) },
          { name: t('p75'), kind: 'line', color: 'accent', values: seriesOf(rows, times, 'p75', null) },
          { name: t('p95'), kind: 'line', color: 'c5', values: seriesOf(rows, times, 'p95', null) },
        ],
        limits: limitsOf(name),
      },
      { weight: 0.6, format: formatCount, series: [{ name: t('samples'), kind: 'bar', color: 'requests', values: seriesOf(rows, times, 'count', 0) }] },
    ],
  };
}

function Spread({ project, name }: { project: string; name: VitalName }) {
  const resource = useQuery(project, (scope, window) => ({ spread: spread(scope, window, name) }));
  const vital = vitalByName(name);
  return (
    <Loaded of={resource} skeleton={<Skeleton height={340} />}>
      {({ tables }) => <Histogram title={t('spread', { name })} bins={binsOf(tables.spread.rows[0])} format={(value) => formatVital(name, value)} good={vital?.good} poor={vital?.poor} stats={[tables.spread.stats]} />}
    </Loaded>
  );
}

function limitsOf(name: VitalName): NonNullable<ChartSpec['panels'][number]['limits']> {
  const vital = vitalByName(name);
  if (!vital) return [];
  return [
    { value: vital.good, label: common('good'), legend: `${common('good')} ≤ ${formatVital(name, vital.good)}`, color: 'good' },
    { value: vital.poor, label: common('poor'), legend: `${common('poor')} > ${formatVital(name, vital.poor)}`, color: 'poor' },
  ];
}

interface RouteRow {
  route: string;
  count: number;
  vitals: Partial<Record<VitalName, number | null>>;
  poor: number | null;
  /** What poor values name most often. */
  worst: { target: string; count: number } | null;
}

function Routes({ project, name }: { project: string; name: VitalName }) {
  const resource = useQuery(project, (scope, window) => ({ routes: routeVitals(scope, window), targets: poorTargets(scope, window, name) }));
  return (
    <Loaded of={resource} skeleton={<Skeleton height={320} />}>
      {({ tables, stats }) => {
        const rows = routesOf(tables.routes.rows, tables.targets.rows, name);
        return (
          <Card title={t('routesTitle')} class="list-card" stats={stats}>
            <DataTable name={t('byRoute')} rows={rows} columns={routeColumns(name)} keyOf={({ route }) => route} sort="-count" inUrl shown={25} class="routes" foot={t('routesFoot', { n: rows.length })} />
          </Card>
        );
      }}
    </Loaded>
  );
}

function routesOf(rows: readonly Row[], targets: readonly Row[], name: VitalName): RouteRow[] {
  const worst = groupedBy(targets, 'route');
  return [...groupedBy(rows, 'route')].map(([route, own]) => {
    const chosen = own.find((row) => row['name'] === name);
    const named = (worst.get(route) ?? []).find((row) => textOf(row, 'target') !== '');
    return {
      route, count: countOf(chosen, 'count'), poor: ratio(countOf(chosen, 'poor'), numberOf(chosen, 'count')),
      vitals: Object.fromEntries(own.map((row) => [textOf(row, 'name'), numberOf(row, 'p75')])),
      worst: named ? { target: textOf(named, 'target'), count: countOf(named, 'count') } : null,
    };
  });
}

function routeColumns(name: VitalName): Column<RouteRow>[] {
  return [
    { id: 'route', label: common('route'), value: ({ route }) => route, cell: ({ route }) => (
      <button type="button" class="link route" title={common('onlyThis', { name: route || common('none') })} onClick={() => change({ filters: withFilter(view.peek().filters, 'route', [route]) })}>{route || common('none')}</button>
    ) },
    { id: 'count', label: t('views'), num: true, value: ({ count }) => count, cell: ({ route, count }) => <EventsLink kinds={['vital']} filters={{ name: [name], route: [route] }}>{formatCount(count)}</EventsLink> },
    ...VITALS.map((vital): Column<RouteRow> => ({
      id: vital.name, label: vital.name, num: true, title: t('vitalTitle', { name: vitalLabel(vital.name) }), value: ({ vitals: own }) => own[vital.name] ?? null,
      cell: ({ vitals: own }) => <VitalValue name={vital.name} value={own[vital.name] ?? null} />,
    })),
    { id: 'poor', label: t('poorShare', { name }), num: true, title: t('poorShareTitle', { name }), value: ({ poor }) => poor, cell: ({ route, poor }) => poor
      ? <EventsLink kinds={['vital']} filters={{ name: [name], route: [route], rating: ['poor'] }}>{formatPercent(poor)}</EventsLink> : formatPercent(poor) },
    { id: 'worst', label: t('worst', { name }), title: t('worstTitle', { name }), class: 'col-target', value: ({ worst }) => worst?.target ?? null, cell: ({ worst }) => worst
      ? <span class="target" title={t('worstOf', { n: worst.count })}><span class="mono clip">{worst.target}</span><span class="muted">{formatCount(worst.count)}</span></span> : null },
  ];
}

const isBreakdown = (text: string): text is Breakdown => (BREAKDOWNS as readonly string[]).includes(text);
const breakdownLabel = (field: Breakdown): string => (field === 'attributes.navigation_type' ? t('navigationType') : fieldLabel(field));

function ByField({ project, name }: { project: string; name: VitalName }) {
  const asked = paramOf(view.value, 'by');
  const field: Breakdown = isBreakdown(asked) ? asked : 'browser';
  const resource = useQuery(project, (scope, window) => ({ groups: breakdown(scope, window, name, field) }));
  const columns: Column<Row>[] = [
    { id: field, label: breakdownLabel(field), value: (row) => textOf(row, field), cell: (row) => <ValueButton field={field} value={textOf(row, field)} /> },
    { id: 'p75', label: 'p75', num: true, title: t('vitalTitle', { name }), value: (row) => numberOf(row, 'p75'), cell: (row) => <VitalValue name={name} value={numberOf(row, 'p75')} /> },
    { id: 'poor', label: t('band'), class: 'col-bands', value: (row) => ratio(countOf(row, 'poor'), numberOf(row, 'count')), cell: (row) => <BandBar good={countOf(row, 'good')} needs={countOf(row, 'needs_improvement')} poor={countOf(row, 'poor')} /> },
    { id: 'count', label: t('samples'), num: true, value: (row) => countOf(row, 'count'), cell: (row) => <EventsLink kinds={['vital']} filters={filterBy(field, textOf(row, field), name)}>{formatCount(countOf(row, 'count'))}</EventsLink> },
  ];
  return (
    <Card title={t('breakdown', { name, field: breakdownLabel(field).toLowerCase() })} class="list-card" stats={resource.data?.stats} actions={
      <label class="field-inline"><span class="sr">{t('breakdownBy')}</span>
        <select class="select" value={field} onChange={(event) => setParam('by', event.currentTarget.value, 'replace')}>{BREAKDOWNS.map((each) => <option key={each} value={each}>{breakdownLabel(each)}</option>)}</select>
      </label>
    }>
      <Loaded of={resource} skeleton={<Skeleton height={260} />}>
        {({ tables }) => <DataTable key={field} name={t('breakdown', { name, field: breakdownLabel(field).toLowerCase() })} rows={tables.groups.rows} columns={columns} keyOf={(row) => textOf(row, field)} sort="-count" class="breakdown" />}
      </Loaded>
    </Card>
  );
}

const filterBy = (field: Breakdown, value: string, name: VitalName): Partial<Filters> => ({ name: [name], [field]: [value] });

function ValueButton({ field, value }: { field: Breakdown; value: string }) {
  const shown = value || common('none');
  return <button type="button" class="link" title={common('onlyThis', { name: shown })} onClick={() => change({ filters: withFilter(view.peek().filters, field, [value]) })}>{shown}</button>;
}

const TONES: Record<Phase, WaterfallRow['tone']> = {
  redirect: 'wait', dns: 'network', tcp: 'network', tls: 'network', request: 'server', response: 'network', interactive: 'script', complete: 'script', loadEvent: 'done',
};

function Loads({ project }: { project: string }) {
  const { range, filters } = view.value;
  const totals = useQuery(project, (scope, window) => ({ loads: loads(scope, window) }));
  // A sample of the latest: what is usual does not change from one minute to the next.
  const sample = useResource(JSON.stringify(['loads', project, rangeKey(range), filters]), async (signal) => {
    const page = await askEvents(latestLoads({ project, filters }, windowOf(range, Date.now())), signal);
    return { ...meanPhases(page.events), stats: page.stats };
  }, 0, true);
  const row = totals.data?.tables.loads.rows[0];
  const stats = [...(totals.data?.stats ?? []), ...(sample.data ? [sample.data.stats] : [])];
  return (
    <Card title={t('load')} stats={stats} actions={<EventsLink kinds={['navigation']} class="more">{common('eventsPage')}</EventsLink>}>
      <Loaded of={sample} skeleton={<Skeleton height={300} />}>
        {({ count, reused, phases }) => count === 0 ? <Empty title={t('noLoads')} /> : (
          <>
            {row && <p class="load-totals">{t('loadTotals', { p50: formatDuration(numberOf(row, 'p50')), p75: formatDuration(numberOf(row, 'p75')), p95: formatDuration(numberOf(row, 'p95')) })}</p>}
            <Waterfall title={t('load')} rows={phases.filter(({ phase, duration }) => phase !== 'redirect' || duration > 0).map(({ phase, start, duration }) => ({ label: t(phase), start, duration, tone: TONES[phase] }))} />
            <p class="foot">{t('loadNote', { n: count, total: formatCount(countOf(row, 'count')) })} {t('reusedConnections', { share: formatPercent(reused) })}</p>
          </>
        )}
      </Loaded>
    </Card>
  );
}
