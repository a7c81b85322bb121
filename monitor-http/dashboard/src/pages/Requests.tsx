import { useMemo, useState } from 'preact/hooks';
import { ENDPOINT_ROWS, durations, durationsBefore, endpointEvents, endpoints, requestOutcomes } from '../api/queries/requests.ts';
import { countOf, numberOf, seriesOf, type Row } from '../api/table.ts';
import type { Stats } from '../api/types.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { t } from '../i18n/requests.ts';
import { NO_VALUE, formatBytes, formatCount, formatDateTime, formatDuration, formatDurationTick, formatPercent, ratio } from '../lib/format.ts';
import { ENOUGH, FAILURES, STATUS_CLASSES, commonOrigin, endpointsOf, failureTotals, statusSeries, statusTotals, worst, type Endpoint, type Failure, type StatusClass } from '../lib/outcomes.ts';
import { isPartial } from '../lib/range.ts';
import { change, view } from '../state/store.ts';
import { useQuery, type Answers } from '../state/use-query.ts';
import { paramOf, type Filters } from '../state/url.ts';
import { BarList } from '../ui/BarList.tsx';
import { Card, Empty, Loaded, Segments, Skeleton } from '../ui/bits.tsx';
import { DataTable, type Column } from '../ui/DataTable.tsx';
import { EventsLink, eventsHref } from '../ui/Link.tsx';
import { DetailHead, EndpointName, Nothing, Search, SessionOf, Opened, Waiting, numberIn, openRow, useLatest } from '../ui/Opened.tsx';
import { StatTile, Tiles } from '../ui/StatTile.tsx';
import { Resources } from './Resources.tsx';
import '../styles/lists.css';
import '../styles/requests.css';

type Tab = 'requests' | 'resources';

export function Requests({ project }: { project: string }) {
  const tab: Tab = paramOf(view.value, 'tab') === 'resources' ? 'resources' : 'requests';
  return (
    <>
      <div class="page-head">
        <h1>{t('title')}</h1>
        <Segments<Tab> label={t('viewOf')} value={tab} onChange={(value) => change({ search: '', sort: '', params: value === 'requests' ? {} : { tab: [value] } })}
          options={[{ value: 'requests', label: t('tabRequests') }, { value: 'resources', label: t('tabResources') }]} />
      </div>
      {tab === 'requests' ? <RequestsTab project={project} /> : <Resources project={project} />}
    </>
  );
}

function RequestsTab({ project }: { project: string }) {
  const resource = useQuery(project, (scope, window) => ({
    durations: durations(scope, window), before: durationsBefore(scope, window), outcomes: requestOutcomes(scope, window), endpoints: endpoints(scope, window),
  }));
  return (
    <Loaded of={resource} skeleton={<Waiting />}>
      {(answers) => countOf(answers.tables.durations.totals[0], 'count') === 0 ? <Nothing title={t('noRequests')}>{t('noRequestsHint')}</Nothing> : <RequestFigures project={project} answers={answers} />}
    </Loaded>
  );
}

function RequestFigures({ project, answers }: { project: string; answers: Answers<'durations' | 'before' | 'outcomes' | 'endpoints'> }) {
  const { durations: course, before, outcomes, endpoints: listed } = answers.tables;
  const all = useMemo(() => endpointsOf(listed.rows), [listed]);
  const origin = useMemo(() => commonOrigin(all.map(({ target }) => target)), [all]);
  return (
    <>
      <RequestTiles totals={course.totals[0]} previous={before.rows[0]} course={course.rows} times={answers.times} />
      <div class="halves">
        <Chart spec={useMemo(() => outcomesChart(answers), [answers])} stats={[outcomes.stats]} height={240} />
        <Chart spec={useMemo(() => durationsChart(answers), [answers])} stats={[course.stats]} height={240} />
      </div>
      <div class="request-ranks">
        <WhyFailed rows={outcomes.rows} />
        <Ranked title={t('slowest')} hint={t('slowestHint', { n: ENOUGH })} all={all} origin={origin} measure={({ p95 }) => p95} format={formatDuration} nothing={t('tooFew')} />
        <Ranked title={t('failing')} hint={t('failingHint', { n: ENOUGH })} all={all} origin={origin} measure={({ rate }) => rate} format={formatPercent} nothing={t('noneFailing')} poor />
      </div>
      <Endpoints project={project} all={all} origin={origin} stats={listed.stats} />
    </>
  );
}

function RequestTiles({ totals, previous, course, times }: { totals: Row | undefined; previous: Row | undefined; course: Row[]; times: number[] }) {
  const [count, failures] = [countOf(totals, 'count'), countOf(totals, 'failures')];
  const rates = useMemo(() => {
    const [counts, failed] = [seriesOf(course, times, 'count', null), seriesOf(course, times, 'failures', null)];
    return counts.map((value, index) => ratio(failed[index], value));
  }, [course, times]);
  const before = (column: string) => numberOf(previous, column);
  const duration = (column: string) => ({ value: numberOf(totals, column), before: before(column), better: 'down' as const, format: formatDuration });
  return (
    <Tiles label={t('requests')}>
      <StatTile label={t('requests')} value={formatCount(count)} change={{ value: count, before: before('count'), format: formatCount }} course={seriesOf(course, times, 'count', 0)} href={eventsHref({ kinds: ['request'] })} />
      <StatTile label={t('failureRate')} value={formatPercent(ratio(failures, count))} tone="poor" course={rates}
        change={{ value: ratio(failures, count), before: ratio(before('failures'), before('count')), better: 'down', format: formatPercent }}
        detail={<EventsLink kinds={['request']} filters={failedFilters()}>{t('failedOf', { n: failures })}</EventsLink>} />
      <StatTile label={t('median')} value={formatDuration(numberOf(totals, 'p50'))} change={duration('p50')} course={seriesOf(course, times, 'p50', null)} />
      <StatTile label={t('p75Duration')} value={formatDuration(numberOf(totals, 'p75'))} change={duration('p75')} course={seriesOf(course, times, 'p75', null)} />
      <StatTile label={t('p95Duration')} value={formatDuration(numberOf(totals, 'p95'))} change={duration('p95')} course={seriesOf(course, times, 'p95', null)} />
    </Tiles>
  );
}

/** The address can say which values a field has, not which it has not: failed requests are those of the known classes. */
const failedFilters = (): Partial<Filters> => ({ failure: [...FAILURES] });

const CLASS_COLORS = { '2xx': 'good', '3xx': 'views', '4xx': 'warn', '5xx': 'poor', none: 'muted' } as const satisfies Record<StatusClass, string>;

function outcomesChart({ window, times, tables }: Answers<'outcomes'>): ChartSpec {
  const series = statusSeries(tables.outcomes.rows, times);
  const seen = STATUS_CLASSES.filter((name) => series[name].some((count) => count > 0));
  return {
    title: t('outcomes'), times, step: window.step, zone: window.zone, partial: isPartial(window),
    panels: [{
      format: formatCount,
      series: seen.map((name) => ({ name: name === 'none' ? t('noAnswer') : name, kind: 'bar', color: CLASS_COLORS[name], values: series[name], stack: 'status' })),
    }],
  };
}

function durationsChart({ window, times, tables }: Answers<'durations'>): ChartSpec {
  const line = (column: 'p50' | 'p75' | 'p95', color: 'c6' | 'accent' | 'c5') => ({ name: column, kind: 'line' as const, color, values: seriesOf(tables.durations.rows, times, column, null) });
  return {
    title: t('durations'), times, step: window.step, zone: window.zone, partial: isPartial(window),
    panels: [{ format: formatDuration, tick: formatDurationTick, series: [line('p95', 'c5'), line('p75', 'accent'), line('p50', 'c6')] }],
  };
}

const failureLabel = (failure: string): string => ((FAILURES as readonly string[]).includes(failure) ? t(failure as Failure) : failure);

function WhyFailed({ rows }: { rows: Row[] }) {
  const failures = useMemo(() => failureTotals(rows), [rows]);
  const statuses = useMemo(() => statusTotals(rows), [rows]);
  const all = failures.reduce((sum, { count }) => sum + count, 0);
  return (
    <Card title={t('whyFailed')}>
      {failures.length === 0 ? <Empty title={t('noFailures')} /> : (
        <BarList tone="poor" of={all} items={failures.slice(0, 8).map(({ failure, count }) => ({
          key: failure, label: failureLabel(failure), value: count, text: `${formatCount(count)} · ${formatPercent(count / all)}`, href: eventsHref({ kinds: ['request'], filters: { failure: [failure] } }),
        }))} />
      )}
      {statuses.length > 0 && (
        <p class="statuses"><span class="muted">{t('byStatus')}</span>{statuses.slice(0, 8).map(({ status, count }) => (
          <EventsLink key={status} kinds={['request']} filters={{ status: [status] }} class="status-link"><span class="mono">{status}</span> {formatCount(count)}</EventsLink>
        ))}</p>
      )}
    </Card>
  );
}

const RANKED = 6;

interface RankedProps {
  title: string;
  hint: string;
  all: Endpoint[];
  origin: string;
  measure(one: Endpoint): number | null;
  format(value: number | null): string;
  nothing: string;
  poor?: boolean;
}

function Ranked({ title, hint, all, origin, measure, format, nothing, poor = false }: RankedProps) {
  const ranked = worst(all, measure, RANKED);
  return (
    <Card title={title}>
      {ranked.length === 0 ? <Empty title={all.some(({ count }) => count >= ENOUGH) ? nothing : t('tooFew')} /> : (
        <BarList tone={poor ? 'poor' : 'accent'} of={measure(ranked[0]!) ?? 0} items={ranked.map((one) => ({
          key: `${one.method} ${one.target}`, label: <EndpointName {...one} origin={origin} />, value: measure(one) ?? 0, text: format(measure(one)), title: one.target, onPick: () => openRow(one.method, one.target),
        }))} />
      )}
      <p class="foot">{hint}</p>
    </Card>
  );
}

function Endpoints({ project, all, origin, stats }: { project: string; all: Endpoint[]; origin: string; stats: Stats }) {
  const { search } = view.value;
  const text = search.toLowerCase();
  const found = useMemo(() => all.filter(({ target, method }) => `${method} ${target}`.toLowerCase().includes(text)), [all, text]);
  const [method, target] = view.value.params['open'] ?? [];
  const columns: Column<Endpoint>[] = [
    { id: 'endpoint', label: t('endpoint'), value: (one) => `${one.method} ${one.target}`.trim(), cell: (one) => (
      <button type="button" class="link endpoint-open" onClick={() => openRow(one.method, one.target)}><EndpointName {...one} origin={origin} /></button>
    ), class: 'col-endpoint' },
    { id: 'count', label: t('count'), num: true, value: (one) => one.count, cell: (one) => formatCount(one.count), href: (one) => eventsHref({ kinds: ['request'], filters: { method: [one.method], target: [one.target] } }) },
    { id: 'failures', label: t('failures'), num: true, value: (one) => one.failures, cell: (one) => one.failures > 0 ? formatCount(one.failures) : <span class="none">0</span>,
      href: (one) => one.failures > 0 ? eventsHref({ kinds: ['request'], filters: { method: [one.method], target: [one.target], ...failedFilters() } }) : null },
    { id: 'rate', label: t('rate'), num: true, value: (one) => one.rate, cell: (one) => one.rate > 0 ? <span class={one.rate >= 0.05 ? 'bad' : ''}>{formatPercent(one.rate)}</span> : <span class="none">0%</span> },
    { id: 'p50', label: 'p50', num: true, value: (one) => one.p50, cell: (one) => formatDuration(one.p50) },
    { id: 'p75', label: 'p75', num: true, value: (one) => one.p75, cell: (one) => formatDuration(one.p75) },
    { id: 'p95', label: 'p95', num: true, value: (one) => one.p95, cell: (one) => formatDuration(one.p95) },
    { id: 'total', label: t('total'), num: true, value: (one) => one.total, cell: (one) => formatDuration(one.total) },
  ];
  return (
    <>
      {method !== undefined && target !== undefined && <Opened key={`${method} ${target}`}><EndpointDetail project={project} method={method} target={target} known={all.find((one) => one.method === method && one.target === target)} /></Opened>}
      <Card title={t('endpoints')} stats={[stats]} actions={<Search label={t('searchEndpoints')} />} class="list-card">
        <DataTable name={t('endpointsCaption')} rows={found} columns={columns} keyOf={(one) => `${one.method} ${one.target}`} sort="-count" inUrl shown={25}
          empty={<Empty title={t('nothingFound')} />} foot={<>{t('endpointsFound', { n: found.length })}{all.length >= ENDPOINT_ROWS && <>. {t('busiest', { n: ENDPOINT_ROWS })}</>}</>} />
      </Card>
    </>
  );
}

function EndpointDetail({ project, method, target, known }: { project: string; method: string; target: string; known: Endpoint | undefined }) {
  const [failed, setFailed] = useState((known?.failures ?? 0) > 0);
  const latest = useLatest(project, JSON.stringify([method, target, failed]), (scope, window) => endpointEvents(scope, window, { method, target, failed }));
  return (
    <Card title={<EndpointName method={method} target={target} />} class="open-card" stats={latest.data && [latest.data.stats]} actions={(
      <DetailHead href={eventsHref({ kinds: ['request'], filters: { method: [method], target: [target], ...(failed ? failedFilters() : {}) } })}>
        <Segments label={t('whichEvents')} value={failed ? 'failed' : 'all'} onChange={(value) => setFailed(value === 'failed')} options={[{ value: 'all', label: t('allRequests') }, { value: 'failed', label: t('onlyFailed') }]} />
      </DetailHead>
    )}>
      {known && (
        <dl class="facts">
          <div><dt>{t('count')}</dt><dd>{formatCount(known.count)}</dd></div>
          <div><dt>{t('failures')}</dt><dd>{formatCount(known.failures)} · {formatPercent(known.rate)}</dd></div>
          <div><dt>p50</dt><dd>{formatDuration(known.p50)}</dd></div>
          <div><dt>p75</dt><dd>{formatDuration(known.p75)}</dd></div>
          <div><dt>p95</dt><dd>{formatDuration(known.p95)}</dd></div>
          <div><dt>{t('total')}</dt><dd>{formatDuration(known.total)}</dd></div>
        </dl>
      )}
      <Loaded of={latest} skeleton={<Skeleton height={220} />}>
        {({ events }) => events.length === 0 ? <Empty title={t('noneKept')} /> : (
          <div class="table-scroll">
            <table class="table latest-table">
              <caption class="sr">{failed ? t('latestFailed') : t('latestOf')}</caption>
              <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('status')}</th><th scope="col" class="num">{t('duration')}</th><th scope="col" class="num">{t('size')}</th><th scope="col">{t('route')}</th><th scope="col">{t('browser')}</th><th scope="col">{t('session')}</th></tr></thead>
              <tbody>{events.map((event) => (
                <tr key={event.id}>
                  <td>{formatDateTime(event.time)}</td>
                  <td>{event.status > 0 && <span class="mono">{event.status}</span>} {event.failure ? <span class="tag tag-poor">{failureLabel(event.failure)}</span> : event.status === 0 && NO_VALUE}</td>
                  <td class="num">{formatDuration(event.value)}</td>
                  <td class="num">{formatBytes(numberIn(event.data, 'response_size'))}</td>
                  <td class="route">{event.route || NO_VALUE}</td>
                  <td>{[event.browser, event.os].filter(Boolean).join(' · ') || NO_VALUE}</td>
                  <td><SessionOf event={event} /></td>
                </tr>
              ))}</tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  );
}
