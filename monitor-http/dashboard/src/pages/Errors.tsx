import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { releases } from '../api/queries/common.ts';
import { ISSUE_ORDERS, ISSUE_ROWS, issueCourse, issueList, type IssueOrder } from '../api/queries/errors.ts';
import { countOf, numberOf, numbersOf, seriesOf, textOf, type Row } from '../api/table.ts';
import type { IssueStatus } from '../api/types.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { t } from '../i18n/errors.ts';
import { NO_VALUE, formatCount } from '../lib/format.ts';
import { isPartial } from '../lib/range.ts';
import { releaseMarks } from '../lib/releases.ts';
import { statusOf, type Decision } from '../state/issues.ts';
import { change, setParam, view } from '../state/store.ts';
import { useQuery, type Answers } from '../state/use-query.ts';
import { formatView, hasFilters } from '../state/url.ts';
import { Ago, Card, Empty, Loaded, Segments, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { DecisionButtons, DecisionNotice, StatusTag, saidStatus, useDecisions, type Decisions } from '../ui/IssueState.tsx';
import { follow } from '../ui/Link.tsx';
import { Sparkline } from '../ui/Sparkline.tsx';
import '../styles/lists.css';
import '../styles/errors.css';

const SEARCH_PAUSE = 300;

/** The choices of the list: what is to do first. */
const CHOICES = { unresolved: ['open', 'regressed'], regressed: ['regressed'], resolved: ['resolved'], ignored: ['ignored'], all: [] } as const satisfies Record<string, readonly IssueStatus[]>;
type Choice = keyof typeof CHOICES;

const ORDER_LABELS = { count: 'events', users: 'users', last_seen: 'lastSeen', first_seen: 'firstSeen' } as const;

export function Errors({ project }: { project: string }) {
  const { search, sort } = view.value;
  const choice = (Object.keys(CHOICES) as Choice[]).find((name) => name === view.value.params['state']?.[0]) ?? 'unresolved';
  const order: IssueOrder = ISSUE_ORDERS.find((name) => name === sort) ?? 'count';
  const resource = useQuery(project, (scope, window) => ({
    issues: { path: 'query/issues', query: issueList(scope, window, { status: CHOICES[choice], search, order }) },
    course: issueCourse(scope, window), releases: releases(scope, window),
  }));
  const decisions = useDecisions(project, resource.reload);
  return (
    <>
      <div class="page-head"><h1>{t('errors')}</h1></div>
      <Loaded of={resource} skeleton={<><Skeleton height={180} /><Skeleton height={420} /></>}>
        {(answers) => (
          <>
            <CourseChart answers={answers} />
            <Card title={t('issues')} stats={[answers.tables.issues.stats]} actions={<Search />} class="list-card">
              <div class="list-tools">
                <Segments<Choice> label={t('status')} value={choice} onChange={(value) => setParam('state', value === 'unresolved' ? '' : value)}
                  options={(Object.keys(CHOICES) as Choice[]).map((value) => ({ value, label: t(value) }))} />
              </div>
              <DecisionNotice decisions={decisions} />
              <List key={`${choice} ${order} ${search}`} rows={answers.tables.issues.rows} order={order} choice={choice} decisions={decisions} />
            </Card>
          </>
        )}
      </Loaded>
    </>
  );
}

function CourseChart({ answers }: { answers: Answers<'course' | 'releases'> }) {
  const spec = useMemo(() => courseOf(answers), [answers]);
  return <Chart spec={spec} stats={[answers.tables.course.stats]} height={150} />;
}

function courseOf({ window, times, tables: { course, releases } }: Answers<'course' | 'releases'>): ChartSpec {
  const [errors, messages] = [seriesOf(course.rows, times, 'count:error', 0), seriesOf(course.rows, times, 'count:message', 0)];
  return {
    title: t('course'), times, step: window.step, zone: window.zone, partial: isPartial(window), marks: releaseMarks(releases.rows, times),
    panels: [{
      format: formatCount,
      series: [
        { name: t('errorEvents'), kind: 'bar', color: 'poor', values: errors, stack: 'all' },
        ...(messages.some((count) => count > 0) ? [{ name: t('messageEvents'), kind: 'bar' as const, color: 'requests' as const, values: messages, stack: 'all' }] : []),
      ],
    }],
  };
}

function Search() {
  const { search } = view.value;
  const [text, setText] = useState(search);
  useEffect(() => { setText(search); }, [search]);
  useEffect(() => {
    if (text === search) return;
    const timer = setTimeout(() => change({ search: text }, 'replace'), SEARCH_PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <label class="search"><Icon name="search" /><span class="sr">{t('search')}</span>
      <input type="search" class="input" placeholder={t('search')} maxLength={500} value={text} onInput={(event) => setText(event.currentTarget.value)} />
    </label>
  );
}

const isTyping = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) || (target instanceof HTMLInputElement && target.type !== 'checkbox'));

/** After `g` the frame waits for the letter of a page, ms. */
const PATIENCE = 1_200;

interface ListProps {
  rows: Row[];
  order: IssueOrder;
  choice: Choice;
  decisions: Decisions;
}

function List({ rows, order, choice, decisions }: ListProps) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const body = useRef<HTMLTableSectionElement>(null);
  const latest = useRef({ rows, chosen, decisions });
  latest.current = { rows, chosen, decisions };
  const fingerprints = useMemo(() => rows.map((row) => textOf(row, 'fingerprint')), [rows]);
  const listed = fingerprints.filter((fingerprint) => chosen.has(fingerprint));

  const toggle = (fingerprint: string) => setChosen((before) => {
    const next = new Set(before);
    if (!next.delete(fingerprint)) next.add(fingerprint);
    return next;
  });
  function decide(status: Decision, which: readonly string[]) {
    setChosen(new Set());
    void decisions.decide(which, status);
  }

  // Like in a mail program: j and k go through the rows, letters do something with the one in focus, or with all that are chosen.
  useEffect(() => {
    let leap = 0;
    function onKey(event: KeyboardEvent) {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
      if (event.key === 'g') leap = Date.now();
      if (event.key === 'g' || Date.now() - leap < PATIENCE) return;
      const links = [...(body.current?.querySelectorAll<HTMLElement>('.issue-name') ?? [])];
      const at = links.findIndex((link) => link.closest('tr')?.contains(document.activeElement));
      const current = latest.current;
      const focused = textOf(current.rows[at], 'fingerprint');
      const step = event.key === 'j' || (at >= 0 && event.key === 'ArrowDown') ? 1 : event.key === 'k' || (at >= 0 && event.key === 'ArrowUp') ? -1 : 0;
      const status = ({ r: 'resolved', i: 'ignored', o: 'open' } as const)[event.key as 'r' | 'i' | 'o'];
      const which = current.chosen.size > 0 ? current.rows.map((row) => textOf(row, 'fingerprint')).filter((fingerprint) => current.chosen.has(fingerprint)) : focused ? [focused] : [];
      if (step !== 0) links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
      else if (event.key === 'x' && focused) toggle(focused);
      else if (status && which.length > 0) {
        setChosen(new Set());
        void current.decisions.decide(which, status);
      } else return;
      event.preventDefault();
    }
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);

  if (rows.length === 0) return <NoIssues choice={choice} />;
  const head = (by: IssueOrder) => (
    <th scope="col" class="num" aria-sort={order === by ? 'descending' : 'none'}>
      <button type="button" class="sort" onClick={() => change({ sort: by === 'count' ? '' : by })}>{t(ORDER_LABELS[by])}{order === by && <Icon name="down" />}</button>
    </th>
  );
  return (
    <>
      {listed.length > 0 && (
        <div class="chosen-bar" role="toolbar" aria-label={t('chosen', { n: listed.length })}>
          <strong>{t('chosen', { n: listed.length })}</strong>
          <DecisionButtons decide={(status) => decide(status, listed)} />
          <button type="button" class="link" onClick={() => setChosen(new Set())}>{t('clear')}</button>
        </div>
      )}
      <div class="table-scroll">
        <table class="table issues">
          <caption class="sr">{t('caption')}</caption>
          <thead>
            <tr>
              <th scope="col" class="col-choose"><input type="checkbox" aria-label={t('chooseAll')} checked={listed.length === rows.length} ref={(box) => { if (box) box.indeterminate = listed.length > 0 && listed.length < rows.length; }}
                onChange={() => setChosen(listed.length === rows.length ? new Set() : new Set(fingerprints))} /></th>
              <th scope="col">{t('issue')}</th><th scope="col" class="col-trend">{t('trend')}</th>{head('count')}{head('users')}{head('last_seen')}{head('first_seen')}<th scope="col">{t('releases')}</th>
            </tr>
          </thead>
          <tbody ref={body}>
            {rows.map((row) => { const fingerprint = textOf(row, 'fingerprint'); return (
              <IssueLine key={fingerprint} row={row} chosen={chosen.has(fingerprint)} status={statusOf(decisions.project, fingerprint, saidStatus(row))} toggle={() => toggle(fingerprint)} />
            ); })}
          </tbody>
        </table>
      </div>
      <p class="foot">{rows.length === ISSUE_ROWS ? t('firstFound', { n: ISSUE_ROWS }) : t('found', { n: rows.length })} {t('foot')} <span class="keys">{t('keys')}</span></p>
    </>
  );
}

function NoIssues({ choice }: { choice: Choice }) {
  const { search, filters } = view.value;
  if (search || hasFilters(filters)) return <Empty title={t('nothingMatches')}>{t('nothingMatchesHint')}</Empty>;
  if (choice === 'all') return <Empty title={t('nothing')}>{t('nothingHint')}</Empty>;
  return <Empty title={t('noneOfState', { state: t(choice) })}><button type="button" class="link" onClick={() => setParam('state', 'all')}>{t('showAll')}</button></Empty>;
}

function IssueLine({ row, chosen, status, toggle }: { row: Row; chosen: boolean; status: IssueStatus; toggle(): void }) {
  const fingerprint = textOf(row, 'fingerprint');
  const name = textOf(row, 'name') || t('unnamed');
  const [first, last] = [textOf(row, 'release_first'), textOf(row, 'release_last')];
  const spark = numbersOf(row, 'spark');
  return (
    <tr class={`row-link issue-${status} ${chosen ? 'row-chosen' : ''}`} onClick={(event) => { if (!(event.target as Element).closest('a, button, input, label')) change({ fingerprint }); }}>
      <td class="col-choose"><input type="checkbox" checked={chosen} aria-label={t('choose', { name })} onChange={toggle} /></td>
      <td class="col-error">
        <span class="issue-title"><a href={formatView({ ...view.value, fingerprint })} class="issue-name error-name" onClick={follow}>{name}</a>{status !== 'open' && <StatusTag status={status} />}{textOf(row, 'kind') === 'message' && <span class="tag">{t('messageKind')}</span>}</span>
        <span class="error-message">{textOf(row, 'message') || t('noMessage')}</span>
      </td>
      <td class="col-trend course-poor"><Sparkline values={spark} kind="bars" /></td>
      <td class="num strong" data-label={t('events')}>{formatCount(countOf(row, 'count'))}</td>
      <td class="num" data-label={t('users')}>{formatCount(countOf(row, 'users'))}</td>
      <td class="num" data-label={t('lastSeen')}><Ago time={numberOf(row, 'last_seen')} /></td>
      <td class="num" data-label={t('firstSeen')}><Ago time={numberOf(row, 'first_seen')} /></td>
      <td class="col-release" data-label={t('releases')}><span class="clip" title={first}>{first || NO_VALUE}</span>{last !== first && <> → <span class="clip" title={last}>{last || NO_VALUE}</span></>}</td>
    </tr>
  );
}
