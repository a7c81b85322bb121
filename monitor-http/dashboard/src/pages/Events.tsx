import { useEffect, useState } from 'preact/hooks';
import { askEvents, exportEvents, type ExportFormat } from '../api/client.ts';
import { within } from '../api/queries/common.ts';
import type { EventDocument, EventsQuery, Stats } from '../api/types.ts';
import { t } from '../i18n/frame.ts';
import { reasonText } from '../i18n/reasons.ts';
import { download } from '../lib/csv.ts';
import { formatDateTime, formatTime } from '../lib/format.ts';
import { KINDS, isBad, kindLabel, summaryOf } from '../lib/kinds.ts';
import { rangeKey, windowOf } from '../lib/range.ts';
import { change, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { Card, Empty, ErrorNote, Loaded, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { JsonTree } from '../ui/JsonTree.tsx';
import { Link } from '../ui/Link.tsx';
import { MultiSelect } from '../ui/MultiSelect.tsx';
import { SessionLink } from '../ui/SessionLink.tsx';

const PAGE = 50;

/** The events behind a number: those of the same range and filters, whole. */
export function Events({ project }: { project: string }) {
  const { range, filters, kinds } = view.value;
  const key = JSON.stringify(['events', project, rangeKey(range), filters, kinds]);
  return <List key={key} question={key} base={(window) => ({ ...within({ project, filters }, window), kinds })} />;
}

interface Loadable {
  events: EventDocument[];
  next: string | null;
  stats: Stats;
  query: EventsQuery;
}

/** One question, page after page; its window is fixed with the first one, so that turning pages skips nothing. */
function List({ question, base }: { question: string; base(window: { from: number; to: number }): EventsQuery }) {
  const first = useResource<Loadable>(question, async (signal) => {
    const query = base(windowOf(view.peek().range, Date.now()));
    const page = await askEvents({ ...query, order: 'newest', limit: PAGE }, signal);
    return { ...page, query };
  });
  const { data } = first;
  const [older, setOlder] = useState<EventDocument[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  useEffect(() => {
    setOlder([]);
    setCursor(null);
    setNext(data?.next ?? null);
  }, [data]);
  const more = useResource<{ events: EventDocument[]; next: string | null } | null>(`${question} ${cursor}`, async (signal) =>
    cursor === null || !data ? null : askEvents({ ...data.query, order: 'newest', limit: PAGE, cursor }, signal));
  useEffect(() => {
    if (!more.data || more.stale) return;
    const { events, next: following } = more.data;
    setOlder((before) => [...before, ...events.filter(({ id }) => !before.some((event) => event.id === id))]);
    setNext(following);
  }, [more.data]);
  const loading = cursor !== null && cursor === next;
  return (
    <Card class="list-card" title={<h1>{t('eventsTitle')}</h1>} stats={data ? [data.stats] : undefined} actions={
      <>
        <MultiSelect label={t('kind')} options={KINDS.map((value) => ({ value, label: kindLabel(value) }))} chosen={view.value.kinds} onChange={(chosen) => change({ kinds: chosen })} />
        {data && <button type="button" class="button" title={t('updatedAt', { time: formatTime(data.query.to) })} onClick={first.reload}><Icon name="again" />{t('loadAnew')}</button>}
        {data && data.events.length > 0 && <Export query={data.query} />}
      </>
    }>
      <Loaded of={first} skeleton={[1, 2, 3, 4, 5, 6, 7, 8].map((row) => <Skeleton key={row} height={28} />)}>
        {({ events }) => events.length === 0 ? <Empty title={t('noEvents')}>{t('emptyRangeText')}</Empty> : (
          <>
            <ol class="stream">{[...events, ...older].map((event) => <EventRow key={event.id} event={event} />)}</ol>
            <p class="table-foot"><span>{t('nEvents', { n: events.length + older.length })}</span></p>
            {more.error && <ErrorNote error={more.error} retry={more.reload} />}
            {next !== null && <p class="center"><button type="button" class="button" disabled={loading && !more.error} onClick={() => setCursor(next)}>{t('olderEvents')}</button></p>}
          </>
        )}
      </Loaded>
    </Card>
  );
}

function EventRow({ event }: { event: EventDocument }) {
  const [open, setOpen] = useState(false);
  const { name, text, value } = summaryOf(event);
  return (
    <li class={`live-row kind-${isBad(event) ? 'bad' : 'plain'}`}>
      <button type="button" class="live-head event-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="live-time">{formatDateTime(event.time)}</span>
        <span class="tag live-kind" title={event.kind}>{kindLabel(event.kind)}</span>
        <span class="live-text"><strong>{name}</strong> {text}</span>
        <span class="live-value">{value}</span>
      </button>
      {open && (
        <div class="event-open">
          <p class="event-links">
            {event.session && <SessionLink session={event.session} time={event.time}>{t('openSession')}</SessionLink>}
            {event.fingerprint && <Link page="errors" change={{ fingerprint: event.fingerprint }}>{t('openError')}</Link>}
          </p>
          <div class="json"><JsonTree value={event} open /></div>
        </div>
      )}
    </li>
  );
}

function Export({ query }: { query: EventsQuery }) {
  const [busy, setBusy] = useState<ExportFormat | null>(null);
  const [failed, setFailed] = useState('');
  async function save(format: ExportFormat) {
    setBusy(format);
    setFailed('');
    try {
      download(`events.${format}`, await exportEvents(query, format, new AbortController().signal));
    } catch (error) {
      setFailed(reasonText(error));
    }
    setBusy(null);
  }
  return (
    <>
      {failed && <span class="field-error" role="alert">{t('exportFailed', { reason: failed })}</span>}
      {(['csv', 'ndjson'] as const).map((format) => (
        <button type="button" key={format} class="button" disabled={busy !== null} title={t('exportLimit')} onClick={() => void save(format)}><Icon name="download" />{busy === format ? t('exporting') : t(format === 'csv' ? 'exportCsv' : 'exportNdjson')}</button>
      ))}
    </>
  );
}
