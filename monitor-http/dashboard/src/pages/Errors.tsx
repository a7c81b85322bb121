import { useEffect, useState } from 'preact/hooks';
import { ask } from '../api/client.ts';
import { ERROR_GROUPS, ERROR_SORTS, errorGroupReleases, errorGroupSeries, errorGroups, type ErrorSort } from '../api/queries.ts';
import { countOf, groupedBy, numberOf, rowsOf, seriesOf, textOf, type Row } from '../api/table.ts';
import { formatCount, plural } from '../lib/format.ts';
import { rangeKey, refreshEvery, stepFor, stepsOf, windowOf } from '../lib/range.ts';
import { change, go, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { formatView, hasFilters } from '../state/url.ts';
import { Ago, Card, Empty, Loaded, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Sparkline } from '../ui/Sparkline.tsx';

interface Group {
  row: Row;
  fingerprint: string;
  course: number[];
  /** The one whose errors were seen last. */
  release: string;
  releases: number;
}

const SEARCH_PAUSE = 300;
const SPARK_POINTS = 30;

export function Errors({ project }: { project: string }) {
  const { range, filters, search } = view.value;
  const sort: ErrorSort = view.value.sort in ERROR_SORTS ? (view.value.sort as ErrorSort) : '-count';
  const key = JSON.stringify([project, rangeKey(range), filters, search, sort]);

  async function load(signal: AbortSignal): Promise<Group[]> {
    const scope = { project, filters };
    // The window of every page, so that the counts agree; only the bars are wider.
    const window = windowOf(range, Date.now());
    const bars = { ...window, step: stepFor(window.to - window.from, SPARK_POINTS) };
    const rows = rowsOf(await ask(errorGroups(scope, window, search, sort), signal));
    if (rows.length === 0) return [];
    const fingerprints = rows.map((row) => textOf(row, 'fingerprint'));
    const [series, releases] = await Promise.all([ask(errorGroupSeries(scope, bars, fingerprints), signal), ask(errorGroupReleases(scope, window, fingerprints), signal)]);
    return groupsOf(rows, rowsOf(series), rowsOf(releases), stepsOf(bars));
  }
  const resource = useResource(key, load, refreshEvery(range));
  return (
    <Card title={<h1>Errors</h1>} actions={<Search />} class="list-card">
      <Loaded of={resource} skeleton={[1, 2, 3, 4, 5].map((row) => <Skeleton key={row} height={56} />)}>
        {(groups) => groups.length > 0 ? <List groups={groups} sort={sort} />
          : search || hasFilters(filters) ? <Empty title="No error matches">Change the search or the filters.</Empty>
          : <Empty title="No errors in this range">Either all is well, or the range is too short.</Empty>}
      </Loaded>
    </Card>
  );
}

function groupsOf(rows: Row[], series: Row[], releases: Row[], times: number[]): Group[] {
  const seriesByGroup = groupedBy(series, 'fingerprint');
  const releasesByGroup = groupedBy(releases, 'fingerprint');
  return rows.map((row) => {
    const fingerprint = textOf(row, 'fingerprint');
    // The one seen last is the first of them.
    const own = releasesByGroup.get(fingerprint) ?? [];
    return { row, fingerprint, course: seriesOf(seriesByGroup.get(fingerprint) ?? [], times, 'count', 0), release: textOf(own[0], 'release'), releases: own.length };
  });
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
    <label class="search"><Icon name="search" /><span class="sr">Search in messages</span>
      <input type="search" class="input" placeholder="Search in messages" maxLength={500} value={text} onInput={(event) => setText(event.currentTarget.value)} />
    </label>
  );
}

function List({ groups, sort }: { groups: Group[]; sort: ErrorSort }) {
  const head = (label: string, by: ErrorSort) => (
    <th scope="col" class="num" aria-sort={sort === by ? 'descending' : 'none'}>
      <button type="button" class="sort" onClick={() => change({ sort: by === '-count' ? '' : by })}>{label}{sort === by && <Icon name="down" />}</button>
    </th>
  );
  return (
    <>
      <div class="table-scroll">
        <table class="table errors">
          <caption class="sr">Errors by group</caption>
          <thead><tr><th scope="col">Error</th><th scope="col" class="col-trend">Trend</th>{head('Events', '-count')}{head('Users', '-visitors')}{head('Last seen', '-last_seen')}{head('First seen', '-first_seen')}<th scope="col">Release</th></tr></thead>
          <tbody>{groups.map((group) => <GroupRow key={group.fingerprint} group={group} />)}</tbody>
        </table>
      </div>
      <p class="foot">{groups.length === ERROR_GROUPS ? `The first ${ERROR_GROUPS} groups. ` : `${plural(groups.length, 'group')}. `}First and last seen are within the chosen range; users are counted by visitor id.</p>
    </>
  );
}

function GroupRow({ group: { row, fingerprint, course, release, releases } }: { group: Group }) {
  const detail = { ...view.value, fingerprint };
  return (
    <tr class="row-link" onClick={(event) => { if (!(event.target as Element).closest('a, button')) go(detail); }}>
      <td class="col-error">
        {fingerprint
          ? <a href={formatView(detail)} class="error-name">{textOf(row, 'any_name') || '(unnamed)'}</a>
          : <span class="error-name">{textOf(row, 'any_name') || '(unnamed)'}</span>}
        <span class="error-message">{textOf(row, 'any_message') || '(no message)'}</span>
      </td>
      <td class="col-trend course-poor"><Sparkline values={course} kind="bars" /></td>
      <td class="num strong" data-label="Events">{formatCount(countOf(row, 'count'))}</td>
      <td class="num" data-label="Users">{formatCount(countOf(row, 'visitors'))}</td>
      <td class="num" data-label="Last seen"><Ago time={numberOf(row, 'last_seen')} /></td>
      <td class="num" data-label="First seen"><Ago time={numberOf(row, 'first_seen')} /></td>
      <td class="col-release" data-label="Release"><span class="clip">{release || '–'}</span>{releases > 1 && <span class="muted"> +{releases - 1}</span>}</td>
    </tr>
  );
}
