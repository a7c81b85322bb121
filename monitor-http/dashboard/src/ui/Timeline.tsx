import { useMemo, useState } from 'preact/hooks';
import { askEvents } from '../api/client.ts';
import { wholeEvent } from '../api/queries/sessions.ts';
import { t } from '../i18n/sessions.ts';
import { vitalByName } from '../lib/bands.ts';
import { formatDateTimeFull, formatDuration } from '../lib/format.ts';
import { isBad, kindLabel, summaryOf } from '../lib/kinds.ts';
import { chaptersOf, marksOf, type Chapter, type Item, type Lane, type MomentEvent } from '../lib/timeline.ts';
import { view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { formatView, viewOf } from '../state/url.ts';
import { Empty, Loaded, Skeleton, VitalValue } from './bits.tsx';
import { Icon } from './Icon.tsx';
import { JsonTree } from './JsonTree.tsx';

export const LANE_LABELS = {
  page: 'lanePage', actions: 'laneActions', rage: 'laneRage', network: 'laneNetwork', errors: 'laneErrors', vitals: 'laneVitals',
  slow: 'laneSlow', console: 'laneConsole', other: 'laneOther',
} as const satisfies Record<Lane, string>;

/** Time since the session began: `0:07.3`, `12:41.0`, `1:02:03.0`. */
export function sinceStart(ms: number): string {
  const tenths = Math.max(0, Math.floor(ms / 100));
  const [hours, minutes, seconds] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60, (tenths % 600) / 10];
  const two = (value: number) => String(value).padStart(2, '0');
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${seconds.toFixed(1).padStart(4, '0')}`;
}

interface Props {
  project: string;
  events: readonly MomentEvent[];
  /** Start of the session, ms since the epoch. */
  start: number;
  /** Lanes to show; all when empty. */
  shown: ReadonlySet<Lane>;
}

/** Everything that happened in a session, in order: a chapter for each page view. */
export function Timeline({ project, events, start, shown }: Props) {
  const chapters = useMemo(() => chaptersOf(events, shown), [events, shown]);
  return <ol class="chapters">{chapters.map((chapter) => <ChapterPart key={chapter.view?.id ?? 'before'} project={project} chapter={chapter} start={start} />)}</ol>;
}

function ChapterPart({ project, chapter, start }: { project: string; chapter: Chapter; start: number }) {
  const { view: head, items, counts } = chapter;
  const [open, setOpen] = useState(false);
  const listed = items.reduce((sum, item) => sum + (item.type === 'event' ? 1 : 0), 0);
  const hidden = Object.values(counts).reduce((sum, count) => sum + count, 0) - listed;
  return (
    <li class="chapter">
      <div class="chapter-head" id={head ? `event-${head.id}` : undefined} tabIndex={-1}>
        <span class="moment" title={formatDateTimeFull(chapter.start)}>{sinceStart(chapter.start - start)}</span>
        <span class="chapter-mark" aria-hidden="true" />
        {head ? (
          <h3 class="chapter-title">
            <button type="button" class="chapter-open" aria-expanded={open} onClick={() => setOpen(!open)}>
              <span class="chapter-route">{head.route || head.url || kindLabel(head.kind)}</span>{head.title && head.title !== head.route && <span class="muted clip">{head.title}</span>}
            </button>
          </h3>
        ) : <h3 class="chapter-title muted">{t('beforeFirst')}</h3>}
        {(counts.errors ?? 0) > 0 && <span class="tag tag-poor">{t('errors')} {counts.errors}</span>}
        <span class="chapter-stay muted">{t('stayed', { time: formatDuration(chapter.end - chapter.start) })}</span>
      </div>
      {open && head && <Details project={project} event={head} />}
      {items.length > 0 && <ol class="moments">{items.map((item) => <Moment key={item.type === 'event' ? item.event.id : `gap${item.from}`} project={project} item={item} start={start} page={head?.page ?? ''} />)}</ol>}
      {hidden > 0 && <p class="chapter-hidden muted">{t('hiddenEvents', { n: hidden })}</p>}
    </li>
  );
}

function Moment({ project, item, start, page }: { project: string; item: Item; start: number; page: string }) {
  const [open, setOpen] = useState(false);
  if (item.type === 'gap') {
    return <li class="gap"><span class="gap-line" aria-hidden="true" /><span>{t('gap', { time: formatDuration(item.to - item.from) })}</span></li>;
  }
  const { event, lane } = item;
  const { name, text, value } = summaryOf(event);
  const what = event.kind === 'request' && event.method ? event.method : name;
  const bad = isBad(event);
  return (
    <li class={`moment-row lane-${lane} ${bad ? 'moment-bad' : ''}`} id={`event-${event.id}`} tabIndex={-1}>
      <button type="button" class="moment-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="moment" title={formatDateTimeFull(event.time)}>{sinceStart(event.time - start)}</span>
        <span class="lane-mark" aria-hidden="true" />
        <span class="moment-kind">{kindLabel(event.kind)}</span>
        <span class="moment-text">
          {what && <strong>{what}</strong>}{what && text && ' '}{text && <bdi>{text}</bdi>}
          {page && event.page !== page && event.route && <span class="tag moment-page">{t('ofPage', { route: event.route })}</span>}
        </span>
        <span class="moment-value">{event.kind === 'vital' && vitalByName(event.name) ? <VitalValue name={event.name} value={event.value} /> : value}</span>
      </button>
      {open && <Details project={project} event={event} />}
    </li>
  );
}

function Details({ project, event: moment }: { project: string; event: MomentEvent }) {
  const whole = useResource(JSON.stringify(['event', project, moment.id, moment.time]), async (signal) => (await askEvents(wholeEvent(project, moment), signal)).events[0] ?? null, 0, true);
  return (
    <div class="moment-details">
      <Loaded of={whole} skeleton={<Skeleton height={160} />}>
        {(event) => event === null ? <Empty title={t('eventGone')} /> : (
          <>
            <p class="moment-facts">
              <span class="muted">{formatDateTimeFull(event.time)}</span>
              {event.fingerprint && <a href={formatView(viewOf(view.value, 'errors', { fingerprint: event.fingerprint }))}><Icon name="link" />{t('openIssue')}</a>}
            </p>
            <div class="json"><JsonTree value={event} open /></div>
          </>
        )}
      </Loaded>
    </div>
  );
}

/** Lanes of the drawing; the others have no place in it. */
const DRAWN: readonly Lane[] = ['actions', 'rage', 'network', 'errors', 'vitals', 'slow', 'console'];
const CELLS = 240;

/**
 * The whole session in a picture: its pages as blocks, what happened as marks. It says nothing that is not in the timeline below,
 * so that screen readers pass it over; a click on a mark goes to its event there.
 */
export function Course({ events, from, to, onPick }: { events: readonly MomentEvent[]; from: number; to: number; onPick(id: string): void }) {
  const lanes = useMemo(() => DRAWN.map((lane) => ({ lane, marks: marksOf(events, lane, from, to, CELLS, isBad) })).filter(({ marks }) => marks.length > 0), [events, from, to]);
  const chapters = useMemo(() => chaptersOf(events).filter(({ view: head }) => head !== null), [events]);
  const length = Math.max(1, to - from);
  const place = (time: number) => `${Math.min(100, Math.max(0, ((time - from) / length) * 100))}%`;
  return (
    <div class="course" aria-hidden="true">
      <div class="course-row"><span class="course-label">{t('views')}</span>
        <div class="course-track course-pages">
          {chapters.map((chapter, index) => (
            <span key={chapter.view!.id} class={`course-page ${index % 2 ? 'course-odd' : ''}`} title={chapter.view!.route} style={{ left: place(chapter.start), width: `calc(${place(from + Math.max(0, chapter.end - chapter.start))} - 2px)` }}
              onClick={() => onPick(chapter.view!.id)}>{chapter.view!.route}</span>
          ))}
        </div>
      </div>
      {lanes.map(({ lane, marks }) => (
        <div class="course-row" key={lane}><span class="course-label">{t(LANE_LABELS[lane])}</span>
          <div class="course-track">
            {marks.map(({ at, id, bad, count }) => (
              <span key={id} class={`course-mark lane-${lane} ${bad ? 'course-bad' : ''}`} title={`${sinceStart(at * length)}${count > 1 ? ` ×${count}` : ''}`} style={{ left: `${at * 100}%` }} onClick={() => onPick(id)} />
            ))}
          </div>
        </div>
      ))}
      <div class="course-row course-axis"><span class="course-label" />
        <div class="course-track">{[0, 0.25, 0.5, 0.75, 1].map((share) => <span key={share} class="course-tick" style={{ left: `${share * 100}%` }}>{sinceStart(share * length)}</span>)}</div>
      </div>
    </div>
  );
}

