import { ask } from '../api/client.ts';
import { PAGE_ROWS, routeTraffic, routeVitals } from '../api/queries.ts';
import { countOf, groupedBy, numberOf, rowsOf, textOf } from '../api/table.ts';
import { VITALS, type VitalName } from '../lib/bands.ts';
import { formatCount, formatPercent, plural, ratio } from '../lib/format.ts';
import { rangeKey, refreshEvery, windowOf } from '../lib/range.ts';
import { change, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { Card, Empty, Loaded, Skeleton, VitalValue } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';

interface PageRow {
  route: string;
  views: number;
  visitors: number;
  errors: number;
  requests: number;
  failures: number;
  failureRate: number | null;
  vitals: Partial<Record<VitalName, number | null>>;
}

type Column = { id: string; label: string; title?: string; read(row: PageRow): number | string | null };

const COLUMNS: Column[] = [
  { id: 'route', label: 'Route', read: (row) => row.route },
  { id: 'views', label: 'Views', read: (row) => row.views },
  { id: 'visitors', label: 'Visitors', read: (row) => row.visitors },
  ...VITALS.map((vital): Column => ({ id: vital.name, label: vital.name, title: `${vital.label}, 75th percentile`, read: (row) => row.vitals[vital.name] ?? null })),
  { id: 'errors', label: 'Errors', read: (row) => row.errors },
  { id: 'failures', label: 'Failed requests', read: (row) => row.failureRate },
];

export function Pages({ project }: { project: string }) {
  const { range, filters } = view.value;
  const scope = { project, filters };
  const resource = useResource<PageRow[]>(JSON.stringify([project, rangeKey(range), filters]), async (signal) => {
    const window = windowOf(range, Date.now());
    const [traffic, vitals] = await Promise.all([ask(routeTraffic(scope, window), signal), ask(routeVitals(scope, window), signal)]);
    const byRoute = groupedBy(rowsOf(vitals), 'route');
    return rowsOf(traffic).map((row) => {
      const route = textOf(row, 'route');
      const requests = countOf(row, 'count:request');
      const failures = countOf(row, 'failures');
      return {
        route, views: countOf(row, 'count:page_view'), visitors: countOf(row, 'visitors'), errors: countOf(row, 'count:error'), requests, failures, failureRate: ratio(failures, requests),
        vitals: Object.fromEntries((byRoute.get(route) ?? []).map((vital) => [textOf(vital, 'name'), numberOf(vital, 'p75')])),
      };
    });
  }, refreshEvery(range));
  return (
    <Card title={<h1>Pages</h1>} class="list-card">
      <Loaded of={resource} skeleton={[1, 2, 3, 4, 5, 6].map((row) => <Skeleton key={row} height={40} />)}>
        {(rows) => rows.length === 0 ? <Empty title="No pages in this range">Change the range or the filters.</Empty> : <Routes rows={rows} />}
      </Loaded>
    </Card>
  );
}

/** `-views` is descending, `route` ascending. */
function sorted(rows: readonly PageRow[], column: Column, descending: boolean): PageRow[] {
  const compare = (a: number | string | null, b: number | string | null) => {
    // Rows without a value come last, whichever way the others go.
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const order = typeof a === 'string' || typeof b === 'string' ? String(a).localeCompare(String(b)) : a - b;
    return descending ? -order : order;
  };
  return [...rows].sort((a, b) => compare(column.read(a), column.read(b)) || b.views - a.views || a.route.localeCompare(b.route));
}

function Routes({ rows }: { rows: PageRow[] }) {
  const sort = view.value.sort || '-views';
  const descending = sort.startsWith('-');
  const column = COLUMNS.find(({ id }) => id === sort.replace(/^-/, '')) ?? COLUMNS[1]!;
  const toggle = (id: string) => {
    const first = id === 'route' ? id : `-${id}`;
    const other = id === 'route' ? `-${id}` : id;
    change({ sort: sort === first ? other : first });
  };
  return (
    <>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Pages, table">
        <table class="table pages">
          <caption class="sr">Routes with views, web vitals and errors</caption>
          <thead><tr>{COLUMNS.map((head) => (
            <th scope="col" key={head.id} class={head.id === 'route' ? '' : 'num'} aria-sort={head === column ? (descending ? 'descending' : 'ascending') : 'none'}>
              <button type="button" class="sort" title={head.title} onClick={() => toggle(head.id)}>{head.label}{head === column && <Icon name={descending ? 'down' : 'up'} />}</button>
            </th>
          ))}</tr></thead>
          <tbody>{sorted(rows, column, descending).map((row) => (
            <tr key={row.route}>
              <th scope="row"><button type="button" class="link route" title="Show only this route" onClick={() => change({ filters: { ...view.peek().filters, route: [row.route] } })}>{row.route || '(none)'}</button></th>
              <td class="num strong">{formatCount(row.views)}</td>
              <td class="num">{formatCount(row.visitors)}</td>
              {VITALS.map(({ name }) => <td class="num" key={name}><VitalValue name={name} value={row.vitals[name] ?? null} /></td>)}
              <td class="num">{formatCount(row.errors)}</td>
              <td class="num" title={`${formatCount(row.failures)} of ${formatCount(row.requests)}`}>{formatPercent(row.failureRate)}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
      <p class="foot">{rows.length === PAGE_ROWS ? `The ${PAGE_ROWS} most seen routes.` : `${plural(rows.length, 'route')}.`} Web vitals are 75th percentiles.</p>
    </>
  );
}
