import type { ComponentChildren } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { t } from '../i18n/frame.ts';
import { csvOf, download } from '../lib/csv.ts';
import { change, view } from '../state/store.ts';
import { Empty } from './bits.tsx';
import { Icon } from './Icon.tsx';
import { follow } from './Link.tsx';

export interface Column<R> {
  id: string;
  label: string;
  title?: string;
  /** Numbers stand right, and are ordered with the largest first. */
  num?: boolean;
  /** What the column is ordered by, and what the file holds. */
  value(row: R): string | number | null;
  /** What is shown; the value without it. */
  cell?(row: R): ComponentChildren;
  /** Where the cell leads, within the dashboard. */
  href?(row: R): string | null;
  class?: string;
}

interface Props<R> {
  /** What the table is called, and the file that it can be downloaded as. */
  name: string;
  rows: readonly R[];
  columns: readonly Column<R>[];
  keyOf(row: R): string;
  /** `-views` is by views, largest first. */
  sort: string;
  /** Keeps the order in the address: for the one table that a page is about. */
  inUrl?: boolean;
  empty?: ComponentChildren;
  /** Rows drawn at first; the rest on demand. */
  shown?: number;
  class?: string;
  foot?: ComponentChildren;
}

/** Rows that can be ordered by each column, walked through with the arrow keys, and taken along as a file. The first column names the row. */
export function DataTable<R>({ name, rows, columns, keyOf, sort: first, inUrl = false, empty, shown = 100, class: classes = '', foot }: Props<R>) {
  const [own, setOwn] = useState(first);
  const [most, setMost] = useState(shown);
  const body = useRef<HTMLTableSectionElement>(null);
  const asked = inUrl ? view.value.sort || first : own;
  const known = columns.some(({ id }) => id === asked.replace(/^-/, ''));
  const sort = known ? asked : first;
  const descending = sort.startsWith('-');
  const column = columns.find(({ id }) => id === sort.replace(/^-/, '')) ?? columns[0]!;
  const ordered = useMemo(() => sorted(rows, column, descending), [rows, column.id, descending]);

  if (rows.length === 0) return <>{empty ?? <Empty title={t('emptyRange')}>{t('emptyRangeText')}</Empty>}</>;

  function toggle({ id, num }: Column<R>) {
    const natural = num ? `-${id}` : id;
    const next = sort === natural ? (num ? id : `-${id}`) : natural;
    if (inUrl) change({ sort: next === first ? '' : next }, 'replace');
    else setOwn(next);
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    const links = [...(body.current?.querySelectorAll<HTMLElement>('tr > :first-child :is(a, button)') ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    if (step === 0 || at < 0) return;
    event.preventDefault();
    links[at + step]?.focus();
  }

  function save() {
    const cells = ordered.map((row) => columns.map((each) => each.value(row)));
    download(`${name}.csv`, new Blob([csvOf(columns.map(({ label }) => label), cells)], { type: 'text/csv;charset=utf-8' }));
  }

  return (
    <>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={t('tableLabel', { title: name })}>
        <table class={`table data-table ${classes}`}>
          <caption class="sr">{name}</caption>
          <thead><tr>{columns.map((head) => (
            <th scope="col" key={head.id} class={classOf(head)} aria-sort={head === column ? (descending ? 'descending' : 'ascending') : 'none'}>
              <button type="button" class="sort" title={head.title ?? t('sortBy', { name: head.label })} onClick={() => toggle(head)}>{head.label}{head === column && <Icon name={descending ? 'down' : 'up'} />}</button>
            </th>
          ))}</tr></thead>
          <tbody ref={body} onKeyDown={onKeyDown}>{ordered.slice(0, most).map((row) => (
            <tr key={keyOf(row)}>{columns.map((each, index) => (index === 0
              ? <th scope="row" key={each.id} class={classOf(each)}><Cell column={each} row={row} /></th>
              : <td key={each.id} class={classOf(each)} data-label={each.label}><Cell column={each} row={row} /></td>
            ))}</tr>
          ))}</tbody>
        </table>
      </div>
      <p class="table-foot">
        <span>{foot ?? t('rowsShown', { n: rows.length })}</span>
        {rows.length > most && <button type="button" class="link" onClick={() => setMost(most + shown)}>{t('showMore', { n: Math.min(shown, rows.length - most) })}</button>}
        <button type="button" class="link table-csv" aria-label={t('downloadCsv', { name })} title={t('downloadCsv', { name })} onClick={save}><Icon name="download" />{t('csv')}</button>
      </p>
    </>
  );
}

function Cell<R>({ column, row }: { column: Column<R>; row: R }) {
  const value = column.value(row);
  const shown = column.cell ? column.cell(row) : value ?? '–';
  const href = column.href?.(row);
  return href ? <a href={href} onClick={follow}>{shown}</a> : <>{shown}</>;
}

const classOf = <R,>({ num, class: name = '' }: Column<R>): string => `${num ? 'num' : ''} ${name}`.trim();

function sorted<R>(rows: readonly R[], column: Column<R>, descending: boolean): R[] {
  return [...rows].sort((one, other) => {
    const [a, b] = [column.value(one), column.value(other)];
    // Rows without a value come last, whichever way the others go.
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const order = typeof a === 'string' || typeof b === 'string' ? String(a).localeCompare(String(b)) : a - b;
    return descending ? -order : order;
  });
}
