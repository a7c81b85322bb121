import { useEffect, useMemo, useState } from 'preact/hooks';
import { getStorage } from '../api/client.ts';
import { getSystem, isLoss, readingOf, totalOf, type Drop, type Lane, type Process, type Reading, type System as Figures } from '../api/queries/system.ts';
import { countOf, numberOf, rowsOf, textOf, type Row } from '../api/table.ts';
import { Chart } from '../charts/Chart.tsx';
import type { ChartSpec } from '../charts/spec.ts';
import { t as common } from '../i18n/frame.ts';
import { t } from '../i18n/system.ts';
import { NO_VALUE, formatBytes, formatCount, formatDate, formatDateTime, formatDuration } from '../lib/format.ts';
import { useResource } from '../state/use-resource.ts';
import { Card, Empty, Loaded, Skeleton } from '../ui/bits.tsx';
import { DataTable, type Column } from '../ui/DataTable.tsx';
import { StatTile, Tiles } from '../ui/StatTile.tsx';
import '../styles/system.css';

const EVERY = 5_000;
/** Ten minutes of readings. */
const READINGS = 120;

export function System(_: { project: string }) {
  const system = useResource('system', getSystem, EVERY);
  return (
    <div class="stack">
      <div class="page-head"><h1>{t('title')}</h1></div>
      <Loaded of={system} skeleton={<><Skeleton height={112} /><Skeleton height={280} /></>}>
        {(figures) => <><State figures={figures} />{figures.process ? <><Running process={figures.process} /><Storage /></> : <p class="muted">{t('hidden')}</p>}</>}
      </Loaded>
    </div>
  );
}

function State({ figures: { ready, store_available, version, started, uptime_seconds, process } }: { figures: Figures }) {
  const lanes = Object.values(process?.spool.lanes ?? {});
  const oldest = Math.max(0, ...lanes.map(({ age_ms }) => age_ms));
  return (
    <Tiles label={t('state')} class="tiles-short">
      <StatTile label={ready ? t('ready') : t('notReady')} value={ready ? '✓' : '✕'} detail={`${t('store')}${common('colon')}${store_available ? t('storeUp') : t('storeDown')}`} />
      <StatTile label={t('uptime')} value={formatDuration(uptime_seconds * 1000)} detail={`${t('version')} ${version} · ${t('since', { time: formatDateTime(started) })}`} />
      {process && (
        <>
          <StatTile label={t('rate')} value={formatRate(process.rates.per_second['events_accepted'])} detail={t('rateOver', { time: formatDuration(process.rates.over_seconds * 1000) })} />
          <StatTile label={t('waiting')} value={formatCount(Math.max(0, ...lanes.map(({ events }) => events)))} detail={oldest > 0 ? t('oldest', { time: formatDuration(oldest) }) : `${t('spoolBytes')} ${formatBytes(process.spool.bytes)}`} />
          <StatTile label={t('losses')} value={formatCount(process.drops.filter(isLoss).reduce((sum, { count }) => sum + count, 0))} detail={t('lossesHint')} />
          <StatTile label={t('dead')} value={formatCount(lanes.reduce((sum, { dead_letters }) => sum + dead_letters, 0))} detail={t('deadHint')} />
        </>
      )}
    </Tiles>
  );
}

const formatRate = (rate: number | undefined): string => (rate === undefined ? NO_VALUE : rate < 10 ? rate.toFixed(1) : formatCount(rate));

function Running({ process }: { process: Process }) {
  const readings = useReadings(process);
  const spec = useMemo((): ChartSpec => ({
    title: t('course'), times: readings.map(({ time }) => time), step: EVERY, zone: 0, partial: false,
    panels: [
      { format: formatRate as (value: number | null) => string, series: [{ name: t('received'), kind: 'line', color: 'accent', values: readings.map(({ received }) => received) }] },
      { weight: 0.7, format: formatCount, series: [{ name: t('waitingShort'), kind: 'bar', color: 'requests', values: readings.map(({ waiting }) => waiting) }] },
    ],
  }), [readings]);
  const lag = Object.entries(process.consumer_lag);
  return (
    <>
      {readings.length > 1 && <Chart spec={spec} />}
      <div class="halves">
        <Lanes lanes={Object.entries(process.spool.lanes)} />
        <Drops drops={process.drops} />
      </div>
      {lag.length > 0 && (
        <Card title={t('lag')} class="list-card">
          <DataTable name={t('lag')} rows={lag} keyOf={([partition]) => partition} sort="-messages" columns={[
            { id: 'partition', label: t('partition'), value: ([partition]) => partition },
            { id: 'messages', label: t('messages'), num: true, value: ([, messages]) => messages, cell: ([, messages]) => formatCount(messages) },
          ]} />
        </Card>
      )}
      <p class="muted">{t('viewers')}{common('colon')}{formatCount(process.live_viewers)} · {t('deliveredHere')}{common('colon')}{formatCount(totalOf(process, 'events_delivered'))}</p>
    </>
  );
}

function useReadings(process: Process): Reading[] {
  const [readings, setReadings] = useState<Reading[]>([]);
  useEffect(() => { setReadings((before) => [...before, readingOf(process, Date.now())].slice(-READINGS)); }, [process]);
  return readings;
}

type NamedLane = [name: string, lane: Lane];

function Lanes({ lanes }: { lanes: NamedLane[] }) {
  const count = (id: keyof Lane, label: string): Column<NamedLane> => ({ id, label, num: true, value: ([, lane]) => lane[id], cell: ([, lane]) => formatCount(lane[id]) });
  return (
    <Card title={t('lanes')} class="list-card">
      <DataTable<NamedLane> name={t('lanes')} class="lanes-table" rows={lanes} keyOf={([name]) => name} sort="sink" empty={<Empty title={t('noLanes')} />} columns={[
        { id: 'sink', label: t('sink'), value: ([name]) => name },
        count('events', t('waitingShort')),
        { id: 'age_ms', label: t('age'), num: true, value: ([, lane]) => lane.age_ms, cell: ([, lane]) => (lane.events > 0 ? formatDuration(lane.age_ms) : NO_VALUE) },
        count('delivered', t('delivered')), count('retried', t('retried')), count('dead_letters', t('dead')),
      ]} />
    </Card>
  );
}

const KNOWN = ['events_rejected', 'events_dropped', 'requests_refused', 'client_events_discarded', 'events_duplicate', 'events_dead_lettered', 'events_expired', 'spool_quarantined', 'live_events_dropped'] as const;

function whatOf({ what }: Drop): string {
  const known = KNOWN.find((name) => name === what);
  return known ? t(known) : what;
}

function Drops({ drops }: { drops: Drop[] }) {
  return (
    <Card title={t('drops')} class="list-card">
      <DataTable<Drop> name={t('drops')} rows={drops.filter(({ count }) => count > 0)} keyOf={({ what, reason }) => `${what} ${reason}`} sort="-count" empty={<Empty title={t('noDrops')}>{t('noDropsHint')}</Empty>} columns={[
        { id: 'what', label: t('what'), value: whatOf },
        { id: 'reason', label: t('reason'), value: ({ reason }) => reason, cell: ({ reason }) => <code>{reason}</code> },
        { id: 'kind', label: t('kind'), value: (drop) => (isLoss(drop) ? t('loss') : t('noLoss')) },
        { id: 'count', label: t('count'), num: true, value: ({ count }) => count, cell: ({ count }) => formatCount(count) },
      ]} />
    </Card>
  );
}

const perRow = (row: Row) => (countOf(row, 'rows') > 0 ? countOf(row, 'bytes') / countOf(row, 'rows') : null);

function Storage() {
  const storage = useResource('storage', getStorage, 60_000);
  const columns: Column<Row>[] = [
    { id: 'table', label: t('table'), value: (row) => textOf(row, 'table'), cell: (row) => <code>{textOf(row, 'table')}</code> },
    { id: 'rows', label: t('rows'), num: true, value: (row) => countOf(row, 'rows'), cell: (row) => formatCount(countOf(row, 'rows')) },
    { id: 'bytes', label: t('bytes'), num: true, value: (row) => countOf(row, 'bytes'), cell: (row) => formatBytes(countOf(row, 'bytes')) },
    { id: 'per_row', label: t('perRow'), num: true, value: perRow, cell: (row) => formatBytes(perRow(row)) },
    { id: 'oldest', label: t('oldestDay'), num: true, value: (row) => numberOf(row, 'oldest'), cell: (row) => formatDate(numberOf(row, 'oldest')) },
  ];
  return (
    <Loaded of={storage} skeleton={<Skeleton height={240} />}>
      {(table) => {
        const rows = rowsOf(table);
        const events = countOf(rows.find((row) => row['table'] === 'events'), 'rows');
        const bytes = rows.reduce((sum, row) => sum + countOf(row, 'bytes'), 0);
        return (
          <Card title={t('storage')} class="list-card">
            <Tiles label={t('storage')} class="tiles-short">
              <StatTile label={t('stored')} value={formatCount(events)} />
              <StatTile label={t('total')} value={formatBytes(bytes)} />
              <StatTile label={t('perMillion')} value={events > 0 ? formatBytes((bytes / events) * 1e6) : NO_VALUE} />
            </Tiles>
            <DataTable name={t('storage')} rows={rows} columns={columns} keyOf={(row) => textOf(row, 'table')} sort="-bytes" />
          </Card>
        );
      }}
    </Loaded>
  );
}
