import { retention } from '../api/queries/behaviour.ts';
import { countOf, groupedBy, numberOf, type Row } from '../api/table.ts';
import { t } from '../i18n/behaviour.ts';
import { formatCount, formatDayOfUtc, formatPercent } from '../lib/format.ts';
import { useQuery } from '../state/use-query.ts';
import { Card, Empty, Loaded, Segments, Skeleton } from './bits.tsx';

type Period = 'day' | 'week';
const LENGTH: Record<Period, number> = { day: 86_400_000, week: 604_800_000 };
/** Columns beyond are cut off: nobody reads the twentieth. */
const MOST_PERIODS = 14;

/** Cohorts by the period they were first seen in, and which share of them came again in the periods after it. */
export function Retention({ project, period, onChange }: { project: string; period: Period; onChange(period: Period): void }) {
  const resource = useQuery(project, (scope, window) => ({ retention: { path: 'query/retention', query: retention(scope, window, period) } }));
  return (
    <Card title={t('retentionResult')} stats={resource.data?.stats} actions={<Segments<Period> label={t('period')} options={[{ value: 'day', label: t('byDay') }, { value: 'week', label: t('byWeek') }]} value={period} onChange={onChange} />}>
      <Loaded of={resource} skeleton={<Skeleton height={320} />}>
        {({ tables, window }) => tables.retention.rows.length === 0 ? <Empty title={t('noRetention')}>{t('noneHint')}</Empty> : <Cohorts rows={tables.retention.rows} period={period} until={window.to} />}
      </Loaded>
    </Card>
  );
}

function Cohorts({ rows, period, until }: { rows: Row[]; period: Period; until: number }) {
  const cohorts = [...groupedBy(rows, 'cohort')].map(([start, members]) => ({ start: Number(start), periods: new Map(members.map((row) => [countOf(row, 'period'), row])) }));
  cohorts.sort((a, b) => a.start - b.start);
  const last = Math.min(MOST_PERIODS, Math.max(...rows.map((row) => countOf(row, 'period'))));
  const periods = Array.from({ length: last }, (_, index) => index + 1);
  const header = period === 'day' ? 'dayN' : 'weekN';
  return (
    <>
      <p class="muted">{t('retentionHint')}</p>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={t('retentionResult')}>
        <table class="table retention">
          <caption class="sr">{t('retentionResult')}</caption>
          <thead><tr><th scope="col">{t('cohort')}</th><th scope="col" class="num">{t('size')}</th>{periods.map((n) => <th scope="col" class="num" key={n}>{t(header, { n })}</th>)}</tr></thead>
          <tbody>
            {cohorts.map(({ start, periods: found }) => (
              <tr key={start}>
                <th scope="row">{formatDayOfUtc(start)}</th>
                <td class="num">{formatCount(countOf(found.get(0), 'count'))}</td>
                {periods.map((n) => {
                  // What lies ahead is unknown, not zero.
                  if (start + n * LENGTH[period] >= until) return <td key={n} class="num none">–</td>;
                  const share = numberOf(found.get(n), 'share') ?? 0;
                  return <td key={n} class="num retention-cell" style={{ '--share': share }} title={formatCount(countOf(found.get(n), 'count'))}>{formatPercent(share)}</td>;
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
