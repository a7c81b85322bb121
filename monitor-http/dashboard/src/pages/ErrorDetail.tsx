import { useEffect, useMemo, useState } from 'preact/hooks';
import { ask, askEvents } from '../api/client.ts';
import { releases } from '../api/queries/common.ts';
import { FACETS, FACET_VALUES, issueEvents, issueFacets, issueRow, issueSessions, issueTrend } from '../api/queries/errors.ts';
import { countOf, facetOf, numberOf, rowsOf, seriesOf, textOf, type Row } from '../api/table.ts';
import type { EventDocument, EventPage } from '../api/types.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { t } from '../i18n/errors.ts';
import { NO_VALUE, formatAgo, formatCount, formatDateTime, formatDateTimeFull, formatDuration, formatPercent } from '../lib/format.ts';
import { isPartial, rangeKey, windowOf, type TimeWindow } from '../lib/range.ts';
import { releaseMarks } from '../lib/releases.ts';
import { statusOf } from '../state/issues.ts';
import { change, now, view } from '../state/store.ts';
import { useQuery, type Answer, type Answers } from '../state/use-query.ts';
import { useResource } from '../state/use-resource.ts';
import { formatView, hasFilters, withFilter, type CustomField, type FilterField } from '../state/url.ts';
import { BarList } from '../ui/BarList.tsx';
import { Ago, Card, CopyButton, Empty, ErrorNote, Loaded, Skeleton } from '../ui/bits.tsx';
import { Breadcrumbs } from '../ui/Breadcrumbs.tsx';
import { Context } from '../ui/Context.tsx';
import { Icon } from '../ui/Icon.tsx';
import { DecisionButtons, DecisionNotice, StatusTag, saidStatus, useDecisions } from '../ui/IssueState.tsx';
import { JsonTree } from '../ui/JsonTree.tsx';
import { eventsHref, follow } from '../ui/Link.tsx';
import { SessionLink } from '../ui/SessionLink.tsx';
import { Stack } from '../ui/Stack.tsx';
import { whoOf } from '../ui/who.ts';
import '../styles/lists.css';
import '../styles/errors.css';

export function ErrorDetail({ project, fingerprint }: { project: string; fingerprint: string }) {
  const resource = useQuery(project, (scope, window) => ({
    issue: { path: 'query/issues', query: issueRow(scope, window, fingerprint) },
    trend: issueTrend(scope, window, fingerprint), releases: releases(scope, window),
    facets: issueFacets(scope, window, fingerprint, FACETS),
    sessions: { path: 'query/sessions', query: issueSessions(scope, window, fingerprint) },
  }));
  // The tags of the events on screen are those one can ask for.
  const [tags, setTags] = useState<string[]>([]);
  const { range, filters } = view.value;
  return (
    <>
      <p class="crumb"><a href={formatView({ ...view.value, fingerprint: null })} onClick={follow}><Icon name="left" />{t('allIssues')}</a></p>
      <Loaded of={resource} skeleton={<><Skeleton height={110} /><Skeleton height={200} /><Skeleton height={360} /></>}>
        {(answers) => { const row = answers.tables.issue.rows[0]; return row === undefined ? <Nothing /> : (
          <>
            <Head project={project} fingerprint={fingerprint} row={row} reload={resource.reload} />
            <div class="detail">
              <div class="detail-main">
                <TrendChart answers={answers} />
                <Samples key={JSON.stringify([rangeKey(range), filters])} project={project} fingerprint={fingerprint} total={countOf(row, 'count')} onTags={setTags} />
              </div>
              <aside class="detail-side" aria-label={t('breakdown')}>
                <SampleSessions answer={answers.tables.sessions} />
                <Breakdown answer={answers.tables.facets} total={countOf(row, 'count')} />
                {tags.length > 0 && <TagBreakdown project={project} fingerprint={fingerprint} tags={tags} total={countOf(row, 'count')} />}
              </aside>
            </div>
          </>
        ); }}
      </Loaded>
    </>
  );
}

function Nothing() {
  return (
    <Card><Empty title={hasFilters(view.value.filters) ? t('nothingHereFiltered') : t('nothingHere')} />
      <p class="center"><button type="button" class="button" onClick={() => change({ range: { preset: '90d' } })}>{t('lookWider')}</button></p>
    </Card>
  );
}

function Head({ project, fingerprint, row, reload }: { project: string; fingerprint: string; row: Row; reload(): void }) {
  const decisions = useDecisions(project, reload);
  const status = statusOf(project, fingerprint, saidStatus(row));
  const [first, last] = [textOf(row, 'release_first'), textOf(row, 'release_last')];
  return (
    <header class="detail-head">
      <div class="detail-title">
        <h1 class="error-name">{textOf(row, 'name') || t('unnamed')}</h1><StatusTag status={status} />
        <div class="detail-actions"><DecisionButtons status={status} decide={(next) => void decisions.decide([fingerprint], next)} /></div>
      </div>
      <p class="detail-message">{textOf(row, 'message') || t('noMessage')}</p>
      <DecisionNotice decisions={decisions} />
      {status === 'regressed' && (
        <p class="regressed"><Icon name="warn" />{t('regressedNote', { ago: formatAgo(numberOf(row, 'last_seen'), now.value), release: last ? t('inRelease', { release: last }) : '' })}</p>
      )}
      <dl class="facts facts-large">
        <div><dt>{t('events')}</dt><dd><a class="events-link" href={eventsHref({ filters: { fingerprint: [fingerprint] } })} onClick={follow}>{formatCount(countOf(row, 'count'))}</a></dd></div>
        <div><dt>{t('users')}</dt><dd>{formatCount(countOf(row, 'users'))}</dd></div>
        <div><dt>{t('sessions')}</dt><dd>{formatCount(countOf(row, 'sessions'))}</dd></div>
        <div><dt>{t('lastSeen')}</dt><dd><Ago time={numberOf(row, 'last_seen')} />{last && <span class="fact-more">{last}</span>}</dd></div>
        <div><dt>{t('firstSeen')}</dt><dd><Ago time={numberOf(row, 'first_seen')} />{first && <span class="fact-more">{first}</span>}</dd></div>
      </dl>
    </header>
  );
}

function TrendChart({ answers }: { answers: Answers<'trend' | 'releases'> }) {
  const spec = useMemo<ChartSpec>(() => {
    const { window, times, tables } = answers;
    return {
      title: t('occurrences'), times, step: window.step, zone: window.zone, partial: isPartial(window), marks: releaseMarks(tables.releases.rows, times),
      panels: [{ format: formatCount, series: [{ name: t('events'), kind: 'bar', color: 'poor', values: seriesOf(tables.trend.rows, times, 'count', 0) }] }],
    };
  }, [answers]);
  return <Chart spec={spec} stats={[answers.tables.trend.stats]} height={170} />;
}

const BREAKDOWN_ROWS = 6;

/** The values of some fields with their share of all events of the issue: what was not read is known as the rest. */
function Breakdown({ answer, total }: { answer: Answer; total: number }) {
  return <>{FACETS.map((field) => <Card key={field} title={t(field)}><Bars field={field} label={t(field)} rows={answer.rows} total={total} /></Card>)}</>;
}

function Bars({ field, label, rows, total }: { field: FilterField | CustomField; label: string; rows: Row[]; total: number }) {
  const totals = useMemo(() => facetOf(rows, field), [rows, field]);
  const cut = totals.length >= FACET_VALUES;
  // Answers of one moment may differ by what came between them; a share is never more than all.
  const all = Math.max(total, totals.reduce((sum, { count }) => sum + count, 0));
  const items = totals.slice(0, BREAKDOWN_ROWS).map(({ value, count }) => ({
    key: value, label: value || t('noneValue'), value: count, text: `${formatCount(count)} · ${formatPercent(count / all)}`, title: t('onlyThis', { field: label, value: value || t('noneValue') }),
    onPick: () => change({ filters: withFilter(view.peek().filters, field, [value]) }),
  }));
  const more = totals.length - items.length;
  return <BarList items={items} of={all} more={(more > 0 || cut) && <>{more > 0 && t('others', { n: more })} {cut && t('mostFrequent', { n: FACET_VALUES })}</>} />;
}

function TagBreakdown({ project, fingerprint, tags, total }: { project: string; fingerprint: string; tags: string[]; total: number }) {
  const [picked, setPicked] = useState('');
  const tag = tags.includes(picked) ? picked : tags[0]!;
  const field: CustomField = `tags.${tag}`;
  const { range, filters } = view.value;
  const resource = useResource(JSON.stringify(['tag', project, fingerprint, field, rangeKey(range), filters]), async (signal) =>
    rowsOf(await ask(issueFacets({ project, filters }, windowOf(range, Date.now()), fingerprint, [field]), signal)), 0, true);
  return (
    <Card title={t('tag')} actions={tags.length > 1 ? (
      <select class="select" aria-label={t('whichTag')} value={tag} onChange={(event) => setPicked(event.currentTarget.value)}>{tags.map((name) => <option key={name} value={name}>{name}</option>)}</select>
    ) : <span class="tag">{tag}</span>}>
      <Loaded of={resource} skeleton={<Skeleton height={90} />}>{(rows) => <Bars field={field} label={tag} rows={rows} total={total} />}</Loaded>
    </Card>
  );
}

function SampleSessions({ answer: { rows } }: { answer: Answer }) {
  const known = rows.filter((row) => textOf(row, 'session') !== '');
  return (
    <Card title={t('sampleSessions')}>
      {known.length === 0 ? <p class="muted">{t('noSessions')}</p> : (
        <ul class="sample-sessions">
          {known.map((row) => (
            <li key={textOf(row, 'session')}>
              <SessionLink session={textOf(row, 'session')} time={numberOf(row, 'start')} class="clip">{whoOf(row)}</SessionLink>
              <span class="muted sample-facts">{[formatDuration((numberOf(row, 'end') ?? 0) - (numberOf(row, 'start') ?? 0)), textOf(row, 'browser'), textOf(row, 'device')].filter(Boolean).join(' · ')}</span>
              <span class="muted sample-ago"><Ago time={numberOf(row, 'end')} /></span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

interface SamplesProps {
  project: string;
  fingerprint: string;
  total: number;
  onTags(tags: string[]): void;
}

/** One event of the issue at a time, and the list of them. The window is fixed when the first ones come, so that turning pages skips nothing. */
function Samples({ project, fingerprint, total, onTags }: SamplesProps) {
  const { range, filters } = view.value;
  const [window] = useState<TimeWindow>(() => windowOf(range, Date.now()));
  const [index, setIndex] = useState(0);
  const [cursor, setCursor] = useState<string | null>(null);
  const [events, setEvents] = useState<EventDocument[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const page = useResource<EventPage>(JSON.stringify(['samples', cursor]), (signal) => askEvents(issueEvents({ project, filters }, window, fingerprint, cursor), signal));

  useEffect(() => {
    if (!page.data) return;
    const { data } = page;
    setEvents((before) => [...before, ...data.events.filter((event) => !before.some(({ id }) => id === event.id))]);
    setNext(data.next);
  }, [page.data]);
  useEffect(() => { onTags([...new Set(events.flatMap(({ tags }) => (isObject(tags) ? Object.keys(tags) : [])))].sort()); }, [events]);

  const shown = Math.min(index, events.length - 1);
  const event = events[shown];
  // What is asked for comes with the next page.
  const waiting = index >= events.length || (page.stale && page.error === undefined);
  function older() {
    setIndex(index + 1);
    if (index + 1 >= events.length && next !== null) setCursor(next);
  }
  if (!event) {
    return page.error ? <ErrorNote error={page.error} retry={page.reload} /> : page.data ? <Card><Empty title={t('noWhole')} /></Card> : <Skeleton height={320} />;
  }
  return (
    <>
      <div class="sample-nav">
        <p><strong>{t('eventOf', { n: shown + 1 })}</strong> <span class="muted">{t('of', { n: next === null ? events.length : Math.max(total, events.length) })}{next === null && events.length < total ? ` (${standsFor(events, total)})` : ''} · <time dateTime={isoTime(event.time)}>{formatDateTimeFull(event.time)}</time></span></p>
        <div class="card-actions">
          {event.session && <SessionLink session={event.session} time={event.time} class="button"><Icon name="people" />{t('sessionLink')}</SessionLink>}
          <button type="button" class="button" disabled={shown === 0} onClick={() => setIndex(shown - 1)}><Icon name="left" />{t('newer')}</button>
          <button type="button" class="button" disabled={waiting || (shown + 1 >= events.length && next === null)} onClick={older}>{t('older')}<Icon name="right" /></button>
        </div>
      </div>
      {page.error && <ErrorNote error={page.error} retry={page.reload} />}
      <Sample event={event} />
      <Latest events={events} shown={shown} show={setIndex} more={next !== null && !waiting ? () => setCursor(next) : null} />
    </>
  );
}

/** Why there are fewer events than are counted. */
function standsFor(events: EventDocument[], total: number): string {
  const weight = events.reduce((sum, event) => sum + (event.weight ?? 1), 0);
  return Math.round(weight) >= total ? t('standsFor', { n: total }) : t('notWhole');
}

function isoTime(time: number): string {
  return Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : '';
}

type Data = Record<string, unknown>;

const isObject = (value: unknown): value is Data => value !== null && typeof value === 'object' && !Array.isArray(value);
const textIn = (data: Data | undefined, key: string): string => (typeof data?.[key] === 'string' ? data[key] : '');

function Sample({ event }: { event: EventDocument }) {
  const data = useMemo(() => (isObject(event.data) ? event.data : {}), [event]);
  const exceptions = event.exceptions ?? [];
  const objects = (key: string) => (Array.isArray(data[key]) ? data[key].filter(isObject) : []);
  const [causes, inner] = [objects('causes'), objects('errors')];
  // In the order of the document: the error, its causes, those within it.
  const causesFrom = exceptions.findIndex(({ role }) => role === 'cause');
  const innerFrom = exceptions.findIndex(({ role }) => role === 'inner');
  const sourceOf = (role: string, index: number) => (role === 'cause' ? causes[index - causesFrom] : role === 'inner' ? inner[index - innerFrom] : data);
  const components = textIn(data, 'component_stack');
  return (
    <div key={event.id} class="sample">
      {exceptions.map((exception, index) => <Stack key={index} exception={exception} stack={textIn(sourceOf(exception.role, index), 'stack')} target={event.target} />)}
      {components && <Card title={t('components')} actions={<CopyButton text={components} />}><pre class="raw" tabIndex={0}>{components.replace(/^\n+/, '')}</pre></Card>}
      <Breadcrumbs crumbs={Array.isArray(data['breadcrumbs']) ? data['breadcrumbs'] : []} at={event.time} />
      <Context event={event} data={data} />
      <Card title={t('wholeEvent')}><div class="json"><JsonTree value={event} /></div></Card>
    </div>
  );
}

function Latest({ events, shown, show, more }: { events: EventDocument[]; shown: number; show(index: number): void; more: (() => void) | null }) {
  function open(index: number) {
    show(index);
    document.querySelector('.sample-nav')?.scrollIntoView({ block: 'start' });
  }
  return (
    <Card title={t('latest')} class="list-card">
      <div class="table-scroll">
        <table class="table latest-table">
          <caption class="sr">{t('latestCaption')}</caption>
          <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('user')}</th><th scope="col">{t('client')}</th><th scope="col">{t('route')}</th><th scope="col">{t('release')}</th><th scope="col">{t('session')}</th></tr></thead>
          <tbody>{events.map((event, index) => (
            <tr key={event.id} class={index === shown ? 'row-chosen' : ''}>
              <th scope="row"><button type="button" class="link" aria-current={index === shown ? 'true' : undefined} onClick={() => open(index)}>{formatDateTime(event.time)}</button></th>
              <td class="clip">{event.user || event.visitor || NO_VALUE}</td>
              <td class="client">{[[event.browser, event.browser_version].filter(Boolean).join(' '), event.os].filter(Boolean).join(' · ') || NO_VALUE}</td>
              <td class="route">{event.route || NO_VALUE}</td>
              <td class="clip" title={event.release || undefined}>{event.release || NO_VALUE}</td>
              <td>{event.session ? <SessionLink session={event.session} time={event.time}>{t('show')}</SessionLink> : NO_VALUE}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
      {more && <p class="latest-more"><button type="button" class="button" onClick={more}>{t('loadMore')}</button></p>}
    </Card>
  );
}
