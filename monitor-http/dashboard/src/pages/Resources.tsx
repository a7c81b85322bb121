import { useMemo } from 'preact/hooks';
import { ENDPOINT_ROWS, fileEvents, resourceCourse, resourceTypes, slowestFiles } from '../api/queries/requests.ts';
import { countOf, groupedBy, numberOf, seriesOf, textOf, totalsBy, type Row } from '../api/table.ts';
import type { Stats } from '../api/types.ts';
import { Chart } from '../charts/Chart.tsx';
import { categoryColor, type ChartSpec } from '../charts/spec.ts';
import { t } from '../i18n/requests.ts';
import { NO_VALUE, formatBytes, formatCount, formatDateTime, formatDuration, formatDurationTick } from '../lib/format.ts';
import { isPartial } from '../lib/range.ts';
import { shortFile } from '../lib/stack.ts';
import { view } from '../state/store.ts';
import { useQuery, type Answers } from '../state/use-query.ts';
import { Card, Empty, Loaded, Skeleton } from '../ui/bits.tsx';
import { DataTable, type Column } from '../ui/DataTable.tsx';
import { eventsHref } from '../ui/Link.tsx';
import { DetailHead, Nothing, Search, SessionOf, Opened, Waiting, member, numberIn, openRow, shortTarget, useLatest } from '../ui/Opened.tsx';

interface Durations {
  name: string;
  count: number;
  p50: number | null;
  p75: number | null;
  p95: number | null;
}

/** Of what one type of resource took to load. */
interface Type extends Durations {
  max: number | null;
}

interface File extends Durations {
  target: string;
}

/** The types whose course is drawn, the most frequent. Nearly every page loads some of each, so that few would leave out one or the other by chance. */
const DRAWN_TYPES = 6;

const durationsOf = (row: Row): Durations => ({ name: textOf(row, 'name'), count: countOf(row, 'count'), p50: numberOf(row, 'p50'), p75: numberOf(row, 'p75'), p95: numberOf(row, 'p95') });

const DURATIONS: Column<Durations>[] = (['p50', 'p75', 'p95'] as const).map((id) => ({ id, label: id, num: true, value: (one) => one[id], cell: (one) => formatDuration(one[id]) }));

/** What pages loaded, the second tab of the requests. */
export function Resources({ project }: { project: string }) {
  const resource = useQuery(project, (scope, window) => ({
    types: resourceTypes(scope, window), course: resourceCourse(scope, window), files: slowestFiles(scope, window),
  }));
  return (
    <Loaded of={resource} skeleton={<Waiting />}>
      {(answers) => answers.tables.types.rows.length === 0 ? <Nothing title={t('noResources')}>{t('noResourcesHint')}</Nothing> : <ResourceFigures project={project} answers={answers} />}
    </Loaded>
  );
}

function ResourceFigures({ project, answers }: { project: string; answers: Answers<'types' | 'course' | 'files'> }) {
  const { types, course, files } = answers.tables;
  const typed = useMemo(() => types.rows.map((row): Type => ({ ...durationsOf(row), max: numberOf(row, 'max') })), [types]);
  const typeColumns: Column<Type>[] = [
    { id: 'name', label: t('type'), value: (one) => one.name, cell: (one) => one.name || t('unknown') },
    { id: 'count', label: t('loads'), num: true, value: (one) => one.count, cell: (one) => formatCount(one.count), href: (one) => eventsHref({ kinds: ['resource'], filters: { name: [one.name] } }) },
    ...DURATIONS,
    { id: 'max', label: t('max'), num: true, value: (one) => one.max, cell: (one) => formatDuration(one.max) },
  ];
  return (
    <>
      <div class="halves">
        <Chart spec={useMemo(() => typesChart(answers), [answers])} stats={[course.stats]} height={260} />
        <Card title={t('resourceTypes')} stats={[types.stats]} class="list-card"><DataTable name={t('typesCaption')} rows={typed} columns={typeColumns} keyOf={(one) => one.name} sort="-count" /></Card>
      </div>
      <Files project={project} rows={files.rows} stats={files.stats} />
    </>
  );
}

function typesChart({ window, times, tables }: Answers<'course'>): ChartSpec {
  const byType = groupedBy(tables.course.rows, 'name');
  const drawn = totalsBy(tables.course.rows, 'name').slice(0, DRAWN_TYPES);
  return {
    title: t('resourceCourse'), times, step: window.step, zone: window.zone, partial: isPartial(window),
    panels: [{
      format: formatDuration, tick: formatDurationTick,
      series: drawn.map(({ value }, index) => ({ name: value || t('unknown'), kind: 'line', color: categoryColor(index), values: seriesOf(byType.get(value) ?? [], times, 'p75', null) })),
    }],
  };
}

function Files({ project, rows, stats }: { project: string; rows: Row[]; stats: Stats }) {
  const { search } = view.value;
  const text = search.toLowerCase();
  const all = useMemo(() => rows.map((row): File => ({ ...durationsOf(row), target: textOf(row, 'target') })), [rows]);
  const found = useMemo(() => all.filter(({ name, target }) => `${name} ${target}`.toLowerCase().includes(text)), [all, text]);
  const [name, target] = view.value.params['open'] ?? [];
  const columns: Column<File>[] = [
    { id: 'file', label: t('file'), value: (one) => one.target, class: 'col-endpoint', cell: (one) => (
      <button type="button" class="link endpoint-open" title={one.target} onClick={() => openRow(one.name, one.target)}><span class="clip">{one.target ? shortTarget(one.target) : t('unknown')}</span></button>
    ) },
    { id: 'type', label: t('type'), value: (one) => one.name, cell: (one) => <span class="tag">{one.name || t('unknown')}</span> },
    { id: 'count', label: t('timesSlowest'), num: true, value: (one) => one.count, cell: (one) => formatCount(one.count), href: (one) => eventsHref({ kinds: ['resource'], filters: { name: [one.name], target: [one.target] } }) },
    ...DURATIONS,
  ];
  return (
    <>
      {name !== undefined && target !== undefined && <Opened key={`${name} ${target}`}><FileDetail project={project} name={name} target={target} /></Opened>}
      <Card title={t('files')} stats={[stats]} actions={<Search label={t('searchFiles')} />} class="list-card">
        <DataTable name={t('filesCaption')} rows={found} columns={columns} keyOf={(one) => `${one.name} ${one.target}`} sort="-count" inUrl shown={25} empty={<Empty title={t('nothingFound')} />}
          foot={<>{t('filesFound', { n: found.length })}. {all.length >= ENDPOINT_ROWS && <>{t('busiest', { n: ENDPOINT_ROWS })} </>}{t('resourcesFoot')}</>} />
      </Card>
    </>
  );
}

interface Slow {
  url: string;
  duration: number | null;
  size: number | null;
}

function slowestIn(data: unknown): Slow[] {
  const slowest = member(data, 'slowest');
  if (!Array.isArray(slowest)) return [];
  return slowest.slice(0, 3).map((one: unknown) => { const url = member(one, 'url'); return { url: typeof url === 'string' ? url : '', duration: numberIn(one, 'duration'), size: numberIn(one, 'size') }; });
}

function FileDetail({ project, name, target }: { project: string; name: string; target: string }) {
  const latest = useLatest(project, JSON.stringify(['file', name, target]), (scope, window) => fileEvents(scope, window, { name, target }));
  return (
    <Card title={<span class="endpoint" title={target}><span class="method">{name}</span><span class="clip">{shortTarget(target) || t('unknown')}</span></span>} class="open-card" stats={latest.data && [latest.data.stats]}
      actions={<DetailHead href={eventsHref({ kinds: ['resource'], filters: { name: [name], target: [target] } })}>{null}</DetailHead>}>
      <Loaded of={latest} skeleton={<Skeleton height={220} />}>
        {({ events }) => events.length === 0 ? <Empty title={t('noneKept')} /> : (
          <div class="table-scroll">
            <table class="table latest-table">
              <caption class="sr">{t('latestLoads')}</caption>
              <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('route')}</th><th scope="col" class="num">{t('filesOnPage')}</th><th scope="col" class="num">{t('transferred')}</th><th scope="col">{t('othersSlow')}</th><th scope="col">{t('browser')}</th><th scope="col">{t('session')}</th></tr></thead>
              <tbody>{events.map((event) => (
                <tr key={event.id}>
                  <td>{formatDateTime(event.time)}</td>
                  <td class="route">{event.route || NO_VALUE}</td>
                  <td class="num">{formatCount(numberIn(event.data, 'count'))}</td>
                  <td class="num">{formatBytes(numberIn(event.data, 'transfer_size'))}</td>
                  <td><ol class="slow-files">{slowestIn(event.data).map(({ url, duration, size }, index) => <li key={index} title={url}><span class="clip">{shortFile(url)}</span><span class="muted">{formatDuration(duration)}{size !== null && ` · ${formatBytes(size)}`}</span></li>)}</ol></td>
                  <td>{[event.browser, event.connection].filter(Boolean).join(' · ') || NO_VALUE}</td>
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
