import { useEffect, useMemo, useState } from 'preact/hooks';
import { ask, askEvents } from '../api/client.ts';
import { errorBreakdown, errorSamples, errorSeries, errorTotals } from '../api/queries.ts';
import { countOf, numberOf, rowsOf, seriesOf, textOf, totalsBy, type Row } from '../api/table.ts';
import type { EventDocument, EventPage } from '../api/types.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { formatCount, formatDateTimeFull, formatPercent } from '../lib/format.ts';
import { isPartial, rangeKey, refreshEvery, stepsOf, windowOf, type TimeWindow } from '../lib/range.ts';
import { change, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { formatView, hasFilters } from '../state/url.ts';
import { Ago, Card, CopyButton, Empty, ErrorNote, Loaded, Skeleton } from '../ui/bits.tsx';
import { Breadcrumbs } from '../ui/Breadcrumbs.tsx';
import { Context } from '../ui/Context.tsx';
import { Icon } from '../ui/Icon.tsx';
import { JsonTree } from '../ui/JsonTree.tsx';
import { Stack } from '../ui/Stack.tsx';

interface Summary {
  totals: Row | undefined;
  chart: ChartSpec;
  breakdown: Row[];
}

export function ErrorDetail({ project, fingerprint }: { project: string; fingerprint: string }) {
  const { range, filters } = view.value;
  const scope = { project, filters };
  const key = JSON.stringify([project, fingerprint, rangeKey(range), filters]);

  const summary = useResource<Summary>(key, async (signal) => {
    const window = windowOf(range, Date.now());
    const [totals, series, breakdown] = await Promise.all([
      ask(errorTotals(scope, window, fingerprint), signal), ask(errorSeries(scope, window, fingerprint), signal), ask(errorBreakdown(scope, window, fingerprint), signal),
    ]);
    const times = stepsOf(window);
    const chart: ChartSpec = {
      title: 'Occurrences', times, step: window.step, partial: isPartial(window),
      panels: [{ format: formatCount, series: [{ name: 'Events', kind: 'bar', color: 'poor', values: seriesOf(rowsOf(series), times, 'count', 0) }] }],
    };
    return { totals: rowsOf(totals)[0], chart, breakdown: rowsOf(breakdown) };
  }, refreshEvery(range));

  const back = { ...view.value, fingerprint: null };
  return (
    <>
      <p class="crumb"><a href={formatView(back)}><Icon name="left" />All errors</a></p>
      <Loaded of={summary} skeleton={<><Skeleton height={90} /><Skeleton height={240} /></>}>
        {({ totals, chart, breakdown }) => countOf(totals, 'count') === 0 ? <Nothing /> : (
          <>
            <Head totals={totals} />
            <div class="detail">
              <div class="detail-main">
                <Chart spec={chart} height={180} />
                <Samples key={key} scope={scope} fingerprint={fingerprint} total={countOf(totals, 'count')} />
              </div>
              <aside class="detail-side" aria-label="Breakdown"><Breakdown rows={breakdown} /></aside>
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function Nothing() {
  const filtered = hasFilters(view.value.filters);
  return (
    <Card><Empty title={filtered ? 'No such error in this range with these filters' : 'No such error in this range'} />
      <p class="center"><button type="button" class="button" onClick={() => change({ range: { preset: '30d' } })}>Look at the last 30 days</button></p>
    </Card>
  );
}

function Head({ totals }: { totals: Row | undefined }) {
  return (
    <header class="detail-head">
      <h1><span class="error-name">{textOf(totals, 'any_name') || '(unnamed)'}</span></h1>
      <p class="detail-message">{textOf(totals, 'any_message') || '(no message)'}</p>
      <dl class="facts">
        <div><dt>Events</dt><dd>{formatCount(countOf(totals, 'count'))}</dd></div>
        <div><dt>Users</dt><dd>{formatCount(countOf(totals, 'visitors'))}</dd></div>
        <div><dt>Sessions</dt><dd>{formatCount(countOf(totals, 'sessions'))}</dd></div>
        <div><dt>Last seen</dt><dd><Ago time={numberOf(totals, 'last_seen')} /></dd></div>
        <div><dt>First seen</dt><dd><Ago time={numberOf(totals, 'first_seen')} /></dd></div>
      </dl>
    </header>
  );
}

const BREAKDOWNS = [{ field: 'browser', label: 'Browser' }, { field: 'route', label: 'Route' }, { field: 'release', label: 'Release' }] as const;
const BREAKDOWN_ROWS = 6;

function Breakdown({ rows }: { rows: Row[] }) {
  return (
    <>
      {BREAKDOWNS.map(({ field, label }) => {
        const totals = totalsBy(rows, field);
        const all = totals.reduce((sum, { count }) => sum + count, 0);
        return (
          <Card key={field} title={label}>
            <ul class="bars">
              {totals.slice(0, BREAKDOWN_ROWS).map(({ value, count }) => (
                <li key={value}>
                  <button type="button" class="bar" title={`Show only ${label.toLowerCase()} ${value || '(none)'}`} onClick={() => change({ filters: { ...view.peek().filters, [field]: [value] } })}>
                    <span class="bar-fill" style={{ width: `${(count / all) * 100}%` }} />
                    <span class="clip">{value || '(none)'}</span><span class="bar-count">{formatCount(count)} · {formatPercent(count / all)}</span>
                  </button>
                </li>
              ))}
              {totals.length > BREAKDOWN_ROWS && <li class="muted">{totals.length - BREAKDOWN_ROWS} more</li>}
            </ul>
          </Card>
        );
      })}
    </>
  );
}

interface SamplesProps {
  scope: { project: string; filters: ReturnType<typeof view.peek>['filters'] };
  fingerprint: string;
  total: number;
}

/** One event of the group at a time. The window is fixed when the first ones come, so that turning pages skips nothing. */
function Samples({ scope, fingerprint, total }: SamplesProps) {
  const [window] = useState<TimeWindow>(() => windowOf(view.peek().range, Date.now()));
  const [index, setIndex] = useState(0);
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const [events, setEvents] = useState<EventDocument[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const cursor = cursors.at(-1) ?? null;
  const page = useResource<EventPage>(String(cursor), (signal) => askEvents(errorSamples(scope, window, fingerprint, cursor), signal));

  useEffect(() => {
    if (!page.data) return;
    const { data } = page;
    setEvents((before) => [...before, ...data.events.filter((event) => !before.some(({ id }) => id === event.id))]);
    setNext(data.next);
  }, [page.data]);

  const event = events[Math.min(index, events.length - 1)];
  function older() {
    if (index + 1 < events.length) setIndex(index + 1);
    else if (next !== null) {
      setCursors([...cursors, next]);
      setIndex(index + 1);
    }
  }
  if (!event) {
    return page.error ? <ErrorNote error={page.error} retry={page.reload} /> : page.data ? <Card><Empty title="No whole event is kept in this range" /></Card> : <Skeleton height={320} />;
  }
  const shown = Math.min(index, events.length - 1);
  const waiting = index >= events.length;
  return (
    <>
      <div class="sample-nav">
        <p><strong>Event {formatCount(shown + 1)}</strong> <span class="muted">of {formatCount(next === null ? events.length : Math.max(total, events.length))}{next === null && events.length < total ? ` (${standsFor(events, total)})` : ''} · <time dateTime={isoTime(event.time)}>{formatDateTimeFull(event.time)}</time></span></p>
        <div class="card-actions">
          <button type="button" class="button" disabled={shown === 0} onClick={() => setIndex(shown - 1)}><Icon name="left" />Newer</button>
          <button type="button" class="button" disabled={waiting || (shown + 1 >= events.length && next === null)} onClick={older}>Older<Icon name="right" /></button>
        </div>
      </div>
      {page.error && <ErrorNote error={page.error} retry={page.reload} />}
      <Sample event={event} />
    </>
  );
}

/** Why there are fewer events than are counted. */
function standsFor(events: EventDocument[], total: number): string {
  const weight = events.reduce((sum, event) => sum + (event.weight ?? 1), 0);
  return Math.round(weight) >= total ? `standing for ${formatCount(total)}` : 'older ones are not kept whole';
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
  return (
    <div key={event.id}>
      {exceptions.map((exception, index) => <Stack key={index} exception={exception} stack={textIn(sourceOf(exception.role, index), 'stack')} target={event.target} />)}
      {textIn(data, 'component_stack') && <Card title="Components" actions={<CopyButton text={textIn(data, 'component_stack')} />}><pre class="raw" tabIndex={0}>{textIn(data, 'component_stack').replace(/^\n+/, '')}</pre></Card>}
      <Breadcrumbs crumbs={Array.isArray(data['breadcrumbs']) ? data['breadcrumbs'] : []} at={event.time} />
      <Context event={event} data={data} />
      <Card title="Whole event"><div class="json"><JsonTree value={event} /></div></Card>
    </div>
  );
}
