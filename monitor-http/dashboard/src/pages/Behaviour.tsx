import { useMemo } from 'preact/hooks';
import { LIST_ROWS, formatStep, parseStep, topElements, topPages, topReferrers, views, viewsBefore, type Funnel as FunnelShape, type Step } from '../api/queries/behaviour.ts';
import { people, peopleCourse } from '../api/queries/overview.ts';
import { countOf, numberOf, seriesOf, textOf, type Row } from '../api/table.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { t } from '../i18n/behaviour.ts';
import { formatCount, formatDuration, ratio } from '../lib/format.ts';
import { isPartial } from '../lib/range.ts';
import { setParam, view, change } from '../state/store.ts';
import { paramOf, withParam } from '../state/url.ts';
import { useQuery, type Answers } from '../state/use-query.ts';
import { Card, Empty, Loaded, Segments, Skeleton } from '../ui/bits.tsx';
import { DataTable, type Column } from '../ui/DataTable.tsx';
import { Funnel } from '../ui/Funnel.tsx';
import { eventsHref } from '../ui/Link.tsx';
import { Paths } from '../ui/Paths.tsx';
import { Retention } from '../ui/Retention.tsx';
import { StatTile, Tiles } from '../ui/StatTile.tsx';
import '../styles/behaviour.css';

const TABS = ['traffic', 'funnel', 'retention', 'paths'] as const;
type Tab = (typeof TABS)[number];

export function Behaviour({ project }: { project: string }) {
  const tab = TABS.find((name) => name === paramOf(view.value, 'tab')) ?? 'traffic';
  return (
    <div class="stack">
      <div class="page-head">
        <h1>{t('title')}</h1>
        <Segments<Tab> label={t('tabs')} options={TABS.map((value) => ({ value, label: t(value) }))} value={tab} onChange={(value) => setParam('tab', value === 'traffic' ? '' : value)} />
      </div>
      {tab === 'traffic' && <Traffic project={project} />}
      {tab === 'funnel' && <Funnel project={project} shape={funnelOf()} onChange={keepFunnel} />}
      {tab === 'retention' && <Retention project={project} period={paramOf(view.value, 'period') === 'week' ? 'week' : 'day'} onChange={(period) => setParam('period', period === 'week' ? period : '')} />}
      {tab === 'paths' && <Paths project={project} start={paramOf(view.value, 'start')} onStart={(route) => setParam('start', route)} />}
    </div>
  );
}

/** Every visit has page views, so these two steps show something in any project. */
const FIRST_STEPS: readonly Step[] = [{ kind: 'page_view', field: 'route', value: '' }, { kind: 'click', field: 'target', value: '' }];

function funnelOf(): FunnelShape {
  const { params } = view.value;
  const steps = (params['step'] ?? []).flatMap((text) => parseStep(text.replace(/^\d+\./, '')) ?? []);
  const hours = Number(paramOf(view.value, 'hours'));
  return { steps: steps.length >= 2 ? steps : [...FIRST_STEPS], hours: [1, 24, 168].includes(hours) ? hours : 24, by: paramOf(view.value, 'by') === 'session' ? 'session' : 'visitor' };
}

function keepFunnel({ steps, hours, by }: FunnelShape): void {
  let next = view.peek();
  // Numbered, as the address keeps equal values once and a funnel may have equal steps.
  next = { ...next, params: withParam(next, 'step', steps.map((step, index) => `${index + 1}.${formatStep(step)}`)) };
  next = { ...next, params: withParam(next, 'hours', hours === 24 ? '' : String(hours)) };
  change({ params: withParam(next, 'by', by === 'visitor' ? '' : by) }, 'replace');
}

function Traffic({ project }: { project: string }) {
  const figures = useQuery(project, (scope, window) => ({
    views: views(scope, window), before: viewsBefore(scope, window), people: people(scope, window), peopleCourse: peopleCourse(scope, window),
  }));
  return (
    <>
      <Loaded of={figures} skeleton={<><Skeleton height={112} /><Skeleton height={320} /></>}>
        {(answers) => <><Totals answers={answers} /><Course answers={answers} /></>}
      </Loaded>
      <Pages project={project} />
      <div class="halves"><Referrers project={project} /><Elements project={project} /></div>
    </>
  );
}

type Figures = Answers<'views' | 'before' | 'people' | 'peopleCourse'>;

function Totals({ answers: { tables, times, window } }: { answers: Figures }) {
  const { views: viewed, before, people: persons, peopleCourse: crowd } = tables;
  // A line that ends in a step that has only begun would fall where nothing fell.
  const whole = isPartial(window) ? times.slice(0, -1) : times;
  const changeOf = (row: Row | undefined, previous: Row | undefined, column: string) => ({ value: countOf(row, column), before: numberOf(previous, column), format: formatCount });
  const perSession = (row: Row | undefined, of: Row | undefined) => ratio(countOf(row, 'count'), countOf(of, 'sessions'));
  const number = (value: number | null) => (value === null ? '–' : value.toFixed(1));
  return (
    <Tiles label={t('traffic')}>
      <StatTile label={t('views')} value={formatCount(countOf(viewed.totals[0], 'count'))} change={changeOf(viewed.totals[0], before.rows[0], 'count')} course={seriesOf(viewed.rows, whole, 'count', 0)} href={eventsHref({ kinds: ['page_view'] })} />
      <StatTile label={t('visitors')} value={formatCount(countOf(persons.rows[0], 'visitors'))} change={changeOf(persons.rows[0], persons.previous?.[0], 'visitors')} course={seriesOf(crowd.rows, whole, 'visitors', 0)} tone="accent" />
      <StatTile label={t('sessions')} value={formatCount(countOf(persons.rows[0], 'sessions'))} change={changeOf(persons.rows[0], persons.previous?.[0], 'sessions')} course={seriesOf(crowd.rows, whole, 'sessions', 0)} />
      <StatTile label={t('viewsPerSession')} value={number(perSession(viewed.totals[0], persons.rows[0]))}
        change={{ value: perSession(viewed.totals[0], persons.rows[0]), before: perSession(before.rows[0], persons.previous?.[0]), format: number }} />
    </Tiles>
  );
}

function Course({ answers }: { answers: Figures }) {
  const spec = useMemo((): ChartSpec => {
    const { tables: { views: viewed, peopleCourse: crowd }, times, window } = answers;
    return {
      title: t('course'), times, step: window.step, zone: window.zone, partial: isPartial(window),
      panels: [
        {
          format: formatCount,
          series: [
            { name: t('views'), kind: 'bar', color: 'views', values: seriesOf(viewed.rows, times, 'count', 0) },
            { name: t('visitors'), kind: 'line', color: 'accent', values: seriesOf(crowd.rows, times, 'visitors', 0) },
          ],
        },
      ],
    };
  }, [answers]);
  return <Chart spec={spec} stats={[answers.tables.views.stats, answers.tables.peopleCourse.stats]} />;
}

const numeric = (id: string, label: string): Column<Row> => ({ id, label, num: true, value: (row) => countOf(row, id), cell: (row) => formatCount(countOf(row, id)) });

function Pages({ project }: { project: string }) {
  const resource = useQuery(project, (scope, window) => ({ pages: topPages(scope, window) }));
  const columns: Column<Row>[] = [
    { id: 'route', label: t('route'), value: (row) => textOf(row, 'route'), href: (row) => eventsHref({ kinds: ['page_view'], filters: { route: [textOf(row, 'route')] } }) },
    numeric('count:page_view', t('views')),
    numeric('visitors', t('visitors')),
    { id: 'time', label: t('visibleTime'), title: t('visibleTimeHint'), num: true, value: timePerView, cell: (row) => formatDuration(timePerView(row)) },
  ];
  return (
    <Card title={t('pages')} class="list-card" stats={resource.data?.stats}>
      <Loaded of={resource} skeleton={<Skeleton height={240} />}>
        {({ tables }) => <DataTable name={t('pages')} rows={tables.pages.rows} columns={columns} keyOf={(row) => textOf(row, 'route')} sort="-count:page_view" shown={LIST_ROWS / 2} />}
      </Loaded>
    </Card>
  );
}

const timePerView = (row: Row) => ratio(countOf(row, 'sum'), countOf(row, 'count:page_view'));

function Referrers({ project }: { project: string }) {
  const resource = useQuery(project, (scope, window) => ({ referrers: topReferrers(scope, window) }));
  const columns: Column<Row>[] = [
    { id: 'referrer', label: t('referrer'), value: (row) => textOf(row, 'referrer'), href: (row) => eventsHref({ kinds: ['page_view'], filters: { referrer: [textOf(row, 'referrer')] } }), class: 'long-text' },
    numeric('count', t('views')), numeric('visitors', t('visitors')),
  ];
  return (
    <Card title={t('referrers')} class="list-card" stats={resource.data?.stats}>
      <Loaded of={resource} skeleton={<Skeleton height={240} />}>
        {({ tables }) => <DataTable name={t('referrers')} rows={tables.referrers.rows} columns={columns} keyOf={(row) => textOf(row, 'referrer')} sort="-count" shown={15} empty={<Empty title={t('noReferrers')}>{t('noneHint')}</Empty>} />}
      </Loaded>
    </Card>
  );
}

function Elements({ project }: { project: string }) {
  const resource = useQuery(project, (scope, window) => ({ elements: topElements(scope, window) }));
  const columns: Column<Row>[] = [
    { id: 'target', label: t('element'), value: (row) => textOf(row, 'target'), cell: (row) => <code>{textOf(row, 'target')}</code>, href: (row) => eventsHref({ kinds: ['click', 'rage_click', 'dead_click'], filters: { target: [textOf(row, 'target')] } }), class: 'long-text' },
    numeric('count:click', t('clicks')), numeric('count:rage_click', t('rageClicks')), numeric('count:dead_click', t('deadClicks')), numeric('visitors', t('visitors')),
  ];
  return (
    <Card title={t('elements')} class="list-card" stats={resource.data?.stats}>
      <Loaded of={resource} skeleton={<Skeleton height={240} />}>
        {({ tables }) => <DataTable name={t('elements')} rows={tables.elements.rows} columns={columns} keyOf={(row) => textOf(row, 'target')} sort="-count:click" shown={15} empty={<Empty title={t('noClicks')}>{t('noClicksHint')}</Empty>} />}
      </Loaded>
    </Card>
  );
}
