import { useState } from 'preact/hooks';
import { MAX_OFFSET, SESSION_MARKS, SESSION_ORDERS, SESSION_ROWS, sessionList, type SessionMark, type SessionOrder } from '../api/queries/sessions.ts';
import { countOf, numberOf, textOf, type Row } from '../api/table.ts';
import { t } from '../i18n/sessions.ts';
import { NO_VALUE, formatCount, formatDateTime, formatDuration } from '../lib/format.ts';
import { change, go, setParam, view } from '../state/store.ts';
import { useQuery } from '../state/use-query.ts';
import { formatView, hasFilters, paramOf, withFilter, withParam } from '../state/url.ts';
import { Ago, Card, Empty, Loaded, Segments, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { follow } from '../ui/Link.tsx';
import { sessionAt } from '../ui/SessionLink.tsx';
import { whoOf } from '../ui/who.ts';
import '../styles/lists.css';
import '../styles/sessions.css';

const ORDER_LABELS = { newest: 'newest', errors: 'mostErrors', longest: 'longest' } as const;
const MARK_LABELS = { any: 'any', errors: 'withErrors', rage: 'withRage', failures: 'withFailures' } as const;
const FIND_BY = ['user', 'visitor', 'session'] as const;
const FIND_LABELS = { user: 'byUser', visitor: 'byVisitor', session: 'bySession' } as const;

const isOrder = (text: string): text is SessionOrder => (SESSION_ORDERS as readonly string[]).includes(text);
const isMark = (text: string): text is SessionMark => Object.hasOwn(SESSION_MARKS, text);

/** How many sessions are passed over: whole pages, as far as the service goes. */
function offsetOf(text: string): number {
  const offset = Math.floor(Number(text) / SESSION_ROWS) * SESSION_ROWS;
  return offset > 0 && offset <= MAX_OFFSET ? offset : 0;
}

export function Sessions({ project }: { project: string }) {
  const { sort, filters } = view.value;
  const order: SessionOrder = isOrder(sort) ? sort : 'newest';
  const having = paramOf(view.value, 'with');
  const mark = isMark(having) ? having : null;
  const offset = offsetOf(paramOf(view.value, 'at'));
  const resource = useQuery(project, (scope, window) => ({
    list: { path: 'query/sessions', query: sessionList(scope, window, { order, mark, offset }) },
  }));
  return (
    <Card title={<h1>{t('sessions')}</h1>} stats={resource.data?.stats} actions={<Find />} class="list-card">
      <div class="list-tools">
        <Segments label={t('having')} value={mark ?? 'any'} onChange={(value) => change({ params: withParam({ ...view.peek(), params: withParam(view.peek(), 'at', '') }, 'with', value === 'any' ? '' : value) })}
          options={(['any', 'errors', 'rage', 'failures'] as const).map((value) => ({ value, label: t(MARK_LABELS[value]) }))} />
        <Segments label={t('order')} value={order} onChange={(value) => change({ sort: value === 'newest' ? '' : value, params: withParam(view.peek(), 'at', '') })}
          options={SESSION_ORDERS.map((value) => ({ value, label: t(ORDER_LABELS[value]) }))} />
      </div>
      <Loaded of={resource} skeleton={[1, 2, 3, 4, 5, 6].map((row) => <Skeleton key={row} height={52} />)}>
        {({ tables: { list } }) => list.rows.length > 0 ? <List rows={list.rows.slice(0, SESSION_ROWS)} offset={offset} more={list.rows.length > SESSION_ROWS} />
          : mark || offset > 0 || hasFilters(filters) ? <Empty title={t('noneMatch')}>{t('noneMatchHint')}</Empty>
          : <Empty title={t('none')}>{t('noneHint')}</Empty>}
      </Loaded>
    </Card>
  );
}

/** Sessions of somebody, or one by its id: it becomes a filter like any other. */
function Find() {
  const [by, setBy] = useState<(typeof FIND_BY)[number]>('user');
  const [text, setText] = useState('');
  return (
    <form class="find" role="search" onSubmit={(event) => {
      event.preventDefault();
      const id = text.trim();
      if (!id) return;
      setText('');
      change({ filters: withFilter(view.peek().filters, by, [id]), params: withParam(view.peek(), 'at', '') });
    }}>
      <select class="select" aria-label={t('findBy')} value={by} onChange={(event) => setBy(FIND_BY.find((value) => value === event.currentTarget.value) ?? 'user')}>
        {FIND_BY.map((value) => <option key={value} value={value}>{t(FIND_LABELS[value])}</option>)}
      </select>
      <input class="input" type="search" maxLength={500} placeholder={t('findHint')} aria-label={t(FIND_LABELS[by])} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="button" disabled={text.trim() === ''}>{t('find')}</button>
    </form>
  );
}

function List({ rows, offset, more }: { rows: Row[]; offset: number; more: boolean }) {
  const deepest = offset + SESSION_ROWS > MAX_OFFSET;
  return (
    <>
      <div class="table-scroll">
        <table class="table sessions-table">
          <caption class="sr">{t('listCaption')}</caption>
          <thead>
            <tr>
              <th scope="col">{t('who')}</th><th scope="col">{t('started')}</th><th scope="col" class="num">{t('duration')}</th><th scope="col">{t('way')}</th>
              <th scope="col" class="num">{t('views')}</th><th scope="col" class="num">{t('errors')}</th><th scope="col" class="num">{t('rage')}</th><th scope="col" class="num">{t('failures')}</th>
              <th scope="col">{t('client')}</th>
            </tr>
          </thead>
          <tbody>{rows.map((row) => <SessionLine key={textOf(row, 'session')} row={row} />)}</tbody>
        </table>
      </div>
      <div class="list-foot">
        <p class="foot">{t('foot')}</p>
        {(offset > 0 || more) && (
          <nav class="pager" aria-label={t('shown', { from: offset + 1, to: offset + rows.length })}>
            <button type="button" class="button" disabled={offset === 0} onClick={() => setParam('at', offset > SESSION_ROWS ? String(offset - SESSION_ROWS) : '')}><Icon name="left" />{t('newer')}</button>
            <span class="muted">{t('shown', { from: offset + 1, to: offset + rows.length })}</span>
            <button type="button" class="button" disabled={!more || deepest} onClick={() => setParam('at', String(offset + SESSION_ROWS))}>{t('older')}<Icon name="right" /></button>
          </nav>
        )}
        {more && deepest && <p class="foot">{t('deep')}</p>}
      </div>
    </>
  );
}

function SessionLine({ row }: { row: Row }) {
  const session = textOf(row, 'session');
  const [start, end] = [numberOf(row, 'start'), numberOf(row, 'end')];
  // The list's own choices stay in the address, for the way back.
  const detail = { ...view.value, session, params: { ...view.value.params, ...sessionAt(session, start).params } };
  const bad = (column: string, label: string) => {
    const count = countOf(row, column);
    return <td class={`num ${count > 0 ? '' : 'zero'}`} data-label={label}>{count > 0 ? <strong class="bad">{formatCount(count)}</strong> : <span class="none">0</span>}</td>;
  };
  return (
    <tr class="row-link" onClick={(event) => { if (session && !(event.target as Element).closest('a, button')) go(detail); }}>
      <td class="col-who">{session ? <a class="session-who" href={formatView(detail)} onClick={follow}>{whoOf(row)}</a> : <span class="session-who">{whoOf(row)}</span>}<span class="muted clip session-id">{session}</span></td>
      <td data-label={t('started')} title={formatDateTime(end)}><Ago time={start} /><span class="muted sub">{formatDateTime(start)}</span></td>
      <td class="num" data-label={t('duration')}>{start !== null && end !== null ? formatDuration(end - start) : NO_VALUE}</td>
      <td class="col-way"><span class="way"><span class="clip" title={textOf(row, 'entry')}>{textOf(row, 'entry') || NO_VALUE}</span><Icon name="right" /><span class="clip" title={textOf(row, 'exit')}>{textOf(row, 'exit') || NO_VALUE}</span></span></td>
      <td class="num" data-label={t('views')}>{formatCount(countOf(row, 'views'))}</td>
      {bad('errors', t('errors'))}
      {bad('rage_clicks', t('rage'))}
      {bad('failures', t('failures'))}
      <td class="col-client">{[textOf(row, 'browser'), textOf(row, 'os')].filter(Boolean).join(' · ') || NO_VALUE}<span class="muted sub">{[textOf(row, 'device'), textOf(row, 'country')].filter(Boolean).join(' · ')}</span></td>
    </tr>
  );
}
