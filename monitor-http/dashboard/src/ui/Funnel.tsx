import { MOST_STEPS, STEP_KINDS, funnel, type Funnel as Shape, type Step, type StepKind } from '../api/queries/behaviour.ts';
import { countOf, numberOf, textOf, type Row } from '../api/table.ts';
import { t } from '../i18n/behaviour.ts';
import { formatCount, formatDuration, formatPercent } from '../lib/format.ts';
import { kindLabel } from '../lib/kinds.ts';
import { useQuery } from '../state/use-query.ts';
import { Card, Empty, Loaded, Segments, Skeleton } from './bits.tsx';
import { Icon } from './Icon.tsx';

const KINDS = Object.keys(STEP_KINDS) as StepKind[];
const WITHIN = [{ hours: 1, key: 'hour' }, { hours: 24, key: 'day' }, { hours: 168, key: 'week' }] as const;

/** What the steps are, and how many get through them. Everything that is chosen is the caller's to keep. */
export function Funnel({ project, shape, onChange }: { project: string; shape: Shape; onChange(shape: Shape): void }) {
  const resource = useQuery(project, (scope, window) => ({ funnel: { path: 'query/funnel', query: funnel(scope, window, shape) } }));
  return (
    <>
      <Builder shape={shape} onChange={onChange} />
      <Card title={t('funnelResult')} stats={resource.data?.stats}>
        <Loaded of={resource} skeleton={shape.steps.map((_, index) => <Skeleton key={index} height={56} />)}>
          {({ tables }) => countOf(tables.funnel.rows[0], 'count') === 0 ? <Empty title={t('noFunnel')}>{t('noneHint')}</Empty> : <Result rows={tables.funnel.rows} steps={shape.steps} />}
        </Loaded>
      </Card>
    </>
  );
}

function Builder({ shape, onChange }: { shape: Shape; onChange(shape: Shape): void }) {
  const { steps } = shape;
  const put = (next: Step[]) => onChange({ ...shape, steps: next });
  const replace = (index: number, step: Step) => put(steps.map((before, place) => (place === index ? step : before)));
  const swap = (index: number) => put(steps.map((step, place) => (place === index - 1 ? steps[index]! : place === index ? steps[index - 1]! : step)));
  return (
    <Card title={t('steps')} actions={
      <>
        <label class="field"><span>{t('within')}</span>
          <select class="select" value={shape.hours} onChange={(event) => onChange({ ...shape, hours: Number(event.currentTarget.value) })}>
            {WITHIN.map(({ hours, key }) => <option key={hours} value={hours}>{t(key)}</option>)}
          </select>
        </label>
        <Segments label={t('by')} options={[{ value: 'visitor', label: t('visitor') }, { value: 'session', label: t('session') }]} value={shape.by} onChange={(by) => onChange({ ...shape, by })} />
      </>
    }>
      <ol class="funnel-steps">
        {steps.map((step, index) => {
          const n = index + 1;
          return (
            <li key={index}>
              <span class="funnel-number" aria-hidden="true">{n}</span>
              <select class="select" aria-label={t('what', { n })} value={step.kind} onChange={(event) => {
                const kind = event.currentTarget.value as StepKind;
                replace(index, { kind, field: STEP_KINDS[kind], value: STEP_KINDS[kind] === step.field ? step.value : '' });
              }}>
                {KINDS.map((kind) => <option key={kind} value={kind}>{kindLabel(kind)}</option>)}
              </select>
              <input class="input" type="text" aria-label={t('where', { n })} placeholder={t('any')} value={step.value} maxLength={512} spellcheck={false} onChange={(event) => replace(index, { ...step, value: event.currentTarget.value.trim() })} />
              <button type="button" class="button button-icon" disabled={index === 0} title={t('moveUp', { n })} onClick={() => swap(index)}><Icon name="up" /><span class="sr">{t('moveUp', { n })}</span></button>
              <button type="button" class="button button-icon" disabled={steps.length <= 2} title={t('removeStep', { n })} onClick={() => put(steps.filter((_, place) => place !== index))}><Icon name="close" /><span class="sr">{t('removeStep', { n })}</span></button>
            </li>
          );
        })}
      </ol>
      <button type="button" class="button" disabled={steps.length >= MOST_STEPS} onClick={() => put([...steps, { kind: 'page_view', field: 'route', value: '' }])}>{t('addStep')}</button>
    </Card>
  );
}

function Result({ rows, steps }: { rows: Row[]; steps: Step[] }) {
  return (
    <ol class="funnel-result">
      {rows.map((row, index) => {
        const share = numberOf(row, 'share') ?? 0;
        const next = rows[index + 1];
        const lost = next ? countOf(row, 'count') - countOf(next, 'count') : 0;
        const label = textOf(row, 'label');
        const kind = steps[index]?.kind;
        return (
          <li key={index}>
            <p class="funnel-label"><span class="funnel-number" aria-hidden="true">{index + 1}</span>{kind && <span class="muted">{kindLabel(kind)}</span>} <strong>{label === kind ? t('any') : label}</strong></p>
            <div class="funnel-bar" aria-hidden="true"><span style={{ width: `${Math.max(share * 100, 0.5)}%` }} /></div>
            <dl class="funnel-numbers">
              <div><dt>{t('count')}</dt><dd>{formatCount(countOf(row, 'count'))}</dd></div>
              <div><dt>{t('shareOfAll')}</dt><dd>{formatPercent(share)}</dd></div>
              {index > 0 && <div><dt>{t('shareOfStep')}</dt><dd>{formatPercent(numberOf(row, 'share_of_previous'))}</dd></div>}
              {index > 0 && <div><dt>{t('medianTime')}</dt><dd>{formatDuration(numberOf(row, 'median_ms'))}</dd></div>}
            </dl>
            {lost > 0 && <p class="funnel-lost muted">{t('lost', { n: lost })}</p>}
          </li>
        );
      })}
    </ol>
  );
}
