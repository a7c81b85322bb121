import { Component } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { tokenVersion } from '../api/client.ts';
import { followLive, type LiveStatus } from '../api/live.ts';
import { filtersOf } from '../api/queries/common.ts';
import type { EventDocument } from '../api/types.ts';
import { t } from '../i18n/live.ts';
import { reasonText } from '../i18n/reasons.ts';
import { formatTime } from '../lib/format.ts';
import { isBad, KINDS, kindLabel, summaryOf } from '../lib/kinds.ts';
import { change, view } from '../state/store.ts';
import { Card, Empty } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { JsonTree } from '../ui/JsonTree.tsx';
import { MultiSelect } from '../ui/MultiSelect.tsx';
import { RightNow } from '../ui/RightNow.tsx';

/** The list never holds more; while paused, neither does what waits. */
export const LIVE_ROWS = 500;
const DRAW_EVERY = 250;

export function Live({ project }: { project: string }) {
  const { kinds, filters } = view.value;
  const [events, setEvents] = useState<EventDocument[]>([]);
  const [waiting, setWaiting] = useState(0);
  const [missed, setMissed] = useState(0);
  const [paused, setPaused] = useState(false);
  const [status, setStatus] = useState<LiveStatus>({ state: 'connecting' });
  const arrived = useRef<EventDocument[]>([]);
  const missedNow = useRef(0);
  const pausedNow = useRef(paused);
  pausedNow.current = paused;
  const [attempt, setAttempt] = useState(0);
  const version = tokenVersion.value;
  const question = JSON.stringify([project, kinds, filters]);

  useEffect(() => {
    const controller = new AbortController();
    arrived.current = [];
    missedNow.current = 0;
    setEvents([]);
    setMissed(0);
    setWaiting(0);
    void followLive(project, kinds, filtersOf(filters), {
      onEvents(batch) {
        arrived.current.push(...batch);
        const over = arrived.current.length - LIVE_ROWS;
        if (over <= 0) return;
        arrived.current.splice(0, over);
        missedNow.current += over;
      },
      onDropped(count) { missedNow.current += count; },
      onStatus: setStatus,
    }, controller.signal);
    // Drawn a few times a second, however fast they come.
    const timer = setInterval(() => {
      setMissed(missedNow.current);
      if (pausedNow.current) return setWaiting(arrived.current.length);
      if (arrived.current.length === 0) return;
      const fresh = arrived.current.reverse();
      arrived.current = [];
      setWaiting(0);
      setEvents((before) => [...fresh, ...before].slice(0, LIVE_ROWS));
    }, DRAW_EVERY);
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, [question, version, attempt]);

  return (
    <div class="stack">
      <RightNow project={project} />
      <Card class="list-card" title={<h1>{t('title')}</h1>} actions={
        <>
          <Status status={status} paused={paused} />
          {status.state === 'refused' && <button type="button" class="button" onClick={() => setAttempt(attempt + 1)}>{t('tryAgain')}</button>}
          <MultiSelect label={t('kind')} options={KINDS.map((value) => ({ value, label: kindLabel(value) }))} chosen={kinds} onChange={(chosen) => change({ kinds: chosen })} />
          <button type="button" class={`button ${paused ? 'button-active' : ''}`} aria-pressed={paused} onClick={() => setPaused(!paused)}>
            <Icon name={paused ? 'play' : 'pause'} />{!paused ? t('pause') : waiting ? t('continueNew', { n: waiting }) : t('continue')}
          </button>
        </>
      }>
        {missed > 0 && <p class="missed" role="status"><Icon name="warn" />{t('missed', { n: missed })}</p>}
        {events.length === 0
          ? <Empty title={status.state === 'open' ? t('listening') : status.state === 'connecting' ? t('connecting') : t('noConnection')}>{status.state === 'open' ? t('listeningText') : 'error' in status ? reasonText(status.error) : ''}</Empty>
          : <ol class="stream">{events.map((event) => <LiveRow key={event.id} event={event} />)}</ol>}
        {events.length > 0 && <p class="foot">{t(events.length === LIVE_ROWS ? 'last' : 'some', { n: events.length })}</p>}
      </Card>
    </div>
  );
}

function Status({ status, paused }: { status: LiveStatus; paused: boolean }) {
  const live = status.state === 'open' && !paused;
  const text = status.state === 'waiting' ? t('reconnecting') : status.state === 'refused' ? t('notConnected') : status.state === 'connecting' ? t('connecting') : paused ? t('paused') : t('live');
  return <span class={`live ${live ? 'live-live' : 'error' in status ? 'live-failing' : 'live-fixed'}`} title={'error' in status ? reasonText(status.error) : ''} role="status"><span class="live-dot" />{text}</span>;
}

/** A class for the sake of one thing: a row whose event is the same is not drawn again, 500 times, four times a second. */
class LiveRow extends Component<{ event: EventDocument }, { open: boolean }> {
  override state = { open: false };

  override shouldComponentUpdate(next: { event: EventDocument }, state: { open: boolean }) {
    return next.event !== this.props.event || state.open !== this.state.open;
  }

  render() {
    const { event } = this.props;
    const { open } = this.state;
    const { name, text, value } = summaryOf(event);
    return (
      <li class={`live-row kind-${isBad(event) ? 'bad' : 'plain'}`}>
        <button type="button" class="live-head" aria-expanded={open} onClick={() => this.setState({ open: !open })}>
          <span class="live-time">{formatTime(event.time)}</span>
          <span class="tag live-kind" title={event.kind}>{kindLabel(event.kind)}</span>
          <span class="live-text"><strong>{name}</strong> {text}</span>
          <span class="live-value">{value}</span>
        </button>
        {open && <div class="json"><JsonTree value={event} open /></div>}
      </li>
    );
  }
}
