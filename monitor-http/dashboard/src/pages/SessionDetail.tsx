import { useMemo, useRef, useState } from 'preact/hooks';
import { askEvents, askSessions } from '../api/client.ts';
import { SESSION_EVENTS, sessionEvents, sessionRow, sessionSpan, type SessionEvent } from '../api/queries/sessions.ts';
import { countOf, numberOf, rowsOf, textOf, type Row } from '../api/table.ts';
import type { EventPage, Stats } from '../api/types.ts';
import { t } from '../i18n/sessions.ts';
import { formatCount, formatDateTimeFull, formatDuration } from '../lib/format.ts';
import { rangeKey, windowOf } from '../lib/range.ts';
import { LANES, laneCounts, type Lane } from '../lib/timeline.ts';
import { change, now, setParam, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { NO_FILTERS, formatView, hasFilters, paramOf, withParam, type Filters, type View } from '../state/url.ts';
import { Card, CopyButton, Empty, Loaded, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Link, follow } from '../ui/Link.tsx';
import { Course, LANE_LABELS, Timeline } from '../ui/Timeline.tsx';
import { whoOf } from '../ui/who.ts';
import '../styles/lists.css';
import '../styles/sessions.css';

interface Story {
  row: Row;
  start: number;
  end: number;
  events: SessionEvent[];
  /** Whether there are more than were read. */
  more: boolean;
  stats: Stats[];
}

type SessionPage = EventPage<keyof SessionEvent>;

/** A session whose last event is younger than this may go on. */
const GOING_ON = 5 * 60_000;
const REFRESH = 15_000;

/** One session: who, with what, and everything that happened, in order. */
export function SessionDetail({ project, session }: { project: string; session: string }) {
  const { range, filters } = view.value;
  const around = paramOf(view.value, 'around');
  const [pages, setPages] = useState(1);
  const [live, setLive] = useState(false);
  // Full pages do not change any more; only the last one is asked again.
  const read = useRef(new Map<string, SessionPage>());
  const story = useResource<Story | null>(JSON.stringify(['session', project, session, around || rangeKey(range), pages]), async (signal) => {
    const found = await askSessions(sessionRow(project, sessionSpan(momentOf(around) ?? windowOf(range, Date.now())), session), signal);
    const row = rowsOf(found)[0];
    const [start, end] = [numberOf(row, 'start'), numberOf(row, 'end')];
    if (!row || start === null || end === null) return null;
    const events: SessionEvent[] = [];
    const stats = [found.stats];
    let cursor: string | null = null;
    for (let index = 0; index < pages; index++) {
      const before: SessionPage | undefined = read.current.get(String(cursor));
      const page: SessionPage = before ?? await askEvents(sessionEvents(project, { from: start, to: end + 1 }, session, cursor), signal);
      if (page.next !== null) read.current.set(String(cursor), page);
      events.push(...page.events);
      stats.push(page.stats);
      cursor = page.next;
      if (cursor === null) break;
    }
    setLive(Date.now() - end < GOING_ON);
    return { row, start, end, events, more: cursor !== null, stats };
  }, live ? REFRESH : 0);

  return (
    <>
      <p class="crumb"><a href={formatView({ ...view.value, session: null, params: listParams(view.value.params) })} onClick={follow}><Icon name="left" />{t('allSessions')}</a>{hasFilters(filters) && <span class="muted crumb-note">{t('unfiltered')}</span>}</p>
      <Loaded of={story} skeleton={<><Skeleton height={120} /><Skeleton height={160} /><Skeleton height={360} /></>}>
        {(data) => data === null ? <Nothing /> : <><Head session={session} story={data} /><Events project={project} story={data} loadMore={() => setPages(pages + 1)} /></>}
      </Loaded>
    </>
  );
}

/** The moment of the address as a window; `null` when there is none. */
function momentOf(around: string): { from: number; to: number } | null {
  const time = Number(around);
  return around !== '' && Number.isSafeInteger(time) && time >= 0 && time < 8.64e15 ? { from: time, to: time + 1 } : null;
}

/** Those of the list, without the session's own. */
const listParams = ({ around: _, lane: __, ...params }: View['params']): View['params'] => params;

function Nothing() {
  return (
    <Card><Empty title={t('noSuch')}>{t('noSuchHint')}</Empty>
      <p class="center"><button type="button" class="button" onClick={() => change({ range: { preset: '90d' }, params: withParam(view.peek(), 'around', '') })}>{t('lookWider')}</button></p>
    </Card>
  );
}

function Head({ session, story: { row, start, end, events } }: { session: string; story: Story }) {
  const first = events[0];
  const [user, visitor] = [textOf(row, 'user'), textOf(row, 'visitor')];
  const goingOn = now.value - end < GOING_ON;
  const only = (filters: Partial<Filters>): Filters => ({ ...NO_FILTERS, ...filters }) as Filters;
  const version = (name: string, number: string | undefined) => [name, number].filter(Boolean).join(' ');
  const context: [label: string, value: string][] = [
    [t('browser'), version(textOf(row, 'browser'), first?.browser_version)], [t('os'), version(textOf(row, 'os'), first?.os_version)], [t('device'), textOf(row, 'device')],
    [t('screen'), first?.screen ?? ''], [t('country'), textOf(row, 'country')], [t('language'), first?.language ?? ''], [t('connection'), first?.connection ?? ''],
    [t('release'), textOf(row, 'release')], [t('environment'), first?.environment ?? ''],
  ];
  return (
    <Card title={<h1 class="session-title">{whoOf(row)}{goingOn && <span class="live live-live session-live"><span class="live-dot" />{t('goingOn')}</span>}</h1>} class="session-head" actions={(
      <>
        {user ? <Link page="sessions" class="button" change={{ filters: only({ user: [user] }) }}>{t('ofUser')}</Link>
          : visitor && <Link page="sessions" class="button" change={{ filters: only({ visitor: [visitor] }) }}>{t('ofVisitor')}</Link>}
        <Link page="events" class="button" change={{ filters: only({ session: [session] }), range: { from: start, to: end + 1 } }}>{t('asEvents')}</Link>
      </>
    )}>
      <dl class="facts facts-large">
        <div><dt>{t('started')}</dt><dd>{formatDateTimeFull(start)}</dd></div>
        <div><dt>{t('duration')}</dt><dd>{formatDuration(end - start)}</dd></div>
        <div><dt>{t('views')}</dt><dd>{formatCount(countOf(row, 'views'))}</dd></div>
        <div><dt>{t('clicks')}</dt><dd>{formatCount(countOf(row, 'clicks'))}</dd></div>
        <div><dt>{t('errors')}</dt><dd class={countOf(row, 'errors') ? 'bad' : ''}>{formatCount(countOf(row, 'errors'))}</dd></div>
        <div><dt>{t('failures')}</dt><dd class={countOf(row, 'failures') ? 'bad' : ''}>{formatCount(countOf(row, 'failures'))}</dd></div>
        <div><dt>{t('rage')}</dt><dd class={countOf(row, 'rage_clicks') ? 'bad' : ''}>{formatCount(countOf(row, 'rage_clicks'))}</dd></div>
      </dl>
      <dl class="facts session-context">{context.map(([label, value]) => value && <div key={label}><dt>{label}</dt><dd>{value}</dd></div>)}</dl>
      <p class="session-key"><span class="muted">{t('id')}</span> <code class="mono">{session}</code> <CopyButton text={session} /></p>
    </Card>
  );
}

function Events({ project, story: { row, start, end, events, more, stats }, loadMore }: { project: string; story: Story; loadMore(): void }) {
  const chosen = view.value.params['lane'] ?? [];
  const shown = useMemo(() => new Set(LANES.filter((lane) => chosen.includes(lane))), [chosen.join()]);
  const counts = useMemo(() => laneCounts(events), [events]);
  const all = countOf(row, 'events');

  function pick(id: string) {
    const target = document.getElementById(`event-${id}`);
    if (!target) return;
    target.scrollIntoView({ block: 'center', behavior: 'smooth' });
    target.focus({ preventScroll: true });
  }
  function toggle(lane: Lane) {
    setParam('lane', shown.has(lane) ? chosen.filter((other) => other !== lane) : [...chosen, lane], 'replace');
  }
  if (events.length === 0) return <Card title={t('timeline')}><Empty title={t('noEvents')} /></Card>;
  return (
    <>
      <Card title={t('overview')}><Course events={events} from={start} to={more ? (events.at(-1)?.time ?? end) : end} onPick={pick} /></Card>
      <Card title={t('timeline')} stats={stats} class="timeline-card">
        <div class="lanes" role="group" aria-label={t('lanes')}>
          <button type="button" class="lane-button" aria-pressed={shown.size === 0} onClick={() => setParam('lane', '', 'replace')}>{t('laneAll')}<span class="option-count">{formatCount(events.length)}</span></button>
          {LANES.filter((lane) => counts.has(lane) || shown.has(lane)).map((lane) => (
            <button type="button" key={lane} class={`lane-button lane-${lane}`} aria-pressed={shown.has(lane)} onClick={() => toggle(lane)}>
              <span class="lane-mark" aria-hidden="true" />{t(LANE_LABELS[lane])}<span class="option-count">{formatCount(counts.get(lane) ?? 0)}</span>
            </button>
          ))}
        </div>
        <Timeline project={project} events={events} start={start} shown={shown} />
        {more ? (
          <p class="timeline-more"><button type="button" class="button" onClick={loadMore}>{t('loadMore', { n: SESSION_EVENTS })}</button><span class="muted">{t('notAll', { n: events.length, all: formatCount(Math.max(all, events.length)) })}</span></p>
        ) : all > events.length && <p class="foot">{t('foldedEvents', { n: events.length, all })}</p>}
      </Card>
    </>
  );
}
