import { PATH_DEPTH, paths } from '../api/queries/behaviour.ts';
import { countOf, numberOf, textOf, type Row } from '../api/table.ts';
import { t } from '../i18n/behaviour.ts';
import { formatCount, formatPercent } from '../lib/format.ts';
import { useQuery } from '../state/use-query.ts';
import { Card, Empty, Loaded, Skeleton } from './bits.tsx';

/** Which page follows which: a column for each passage, its most frequent ones below each other. */
export function Paths({ project, start, onStart }: { project: string; start: string; onStart(route: string): void }) {
  const resource = useQuery(project, (scope, window) => ({ paths: { path: 'query/paths', query: paths(scope, window, start) } }));
  return (
    <Card title={t('pathsResult')} stats={resource.data?.stats} actions={
      <label class="field"><span>{t('start')}</span><input class="input" type="text" value={start} placeholder={t('startAny')} maxLength={512} spellcheck={false} onChange={(event) => onStart(event.currentTarget.value.trim())} /></label>
    }>
      <Loaded of={resource} skeleton={<Skeleton height={320} />}>
        {({ tables }) => tables.paths.rows.length === 0 ? <Empty title={t('noPaths')}>{t('noneHint')}</Empty> : <Passages rows={tables.paths.rows} onStart={onStart} />}
      </Loaded>
    </Card>
  );
}

function Passages({ rows, onStart }: { rows: Row[]; onStart(route: string): void }) {
  const steps = Array.from({ length: PATH_DEPTH }, (_, index) => rows.filter((row) => countOf(row, 'step') === index + 1)).filter((passages) => passages.length > 0);
  return (
    <div class="paths">
      {steps.map((passages, index) => (
        <section key={index} aria-label={t('pathStep', { n: index + 1 })}>
          <h3>{t('pathStep', { n: index + 1 })}</h3>
          <ol>
            {passages.map((row, place) => {
              const share = numberOf(row, 'share') ?? 0;
              const ends = row['target'] === null;
              return (
                <li key={place} class={ends ? 'path-end' : ''}>
                  <span class="path-from muted"><span class="sr">{t('from')} </span>{textOf(row, 'source')}</span>
                  <span class="path-to"><span aria-hidden="true">→ </span><span class="sr">{t('to')} </span>
                    {ends ? t('end') : <button type="button" class="link" title={t('startHere', { route: textOf(row, 'target') })} onClick={() => onStart(textOf(row, 'target'))}>{textOf(row, 'target')}</button>}
                  </span>
                  <span class="path-count">{formatCount(countOf(row, 'count'))} <span class="muted">{formatPercent(share)}</span></span>
                  <span class="path-bar" aria-hidden="true"><span style={{ width: `${share * 100}%` }} /></span>
                </li>
              );
            })}
          </ol>
        </section>
      ))}
    </div>
  );
}
