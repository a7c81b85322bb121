import { t } from '../i18n/frame.ts';
import { formatCount, formatDuration, formatPercent } from '../lib/format.ts';
import type { Stats } from '../api/types.ts';
import { Icon } from './Icon.tsx';
import { Popover } from './Popover.tsx';

/** What several answers that were asked at once cost together, and how far the worst of them can be trusted. */
export function together(stats: readonly Stats[]): { elapsed: number; rows: number; sample: number; error: number; sources: Set<string> } {
  return {
    elapsed: Math.max(0, ...stats.map(({ elapsed_ms }) => elapsed_ms)),
    rows: stats.reduce((sum, { rows_read }) => sum + rows_read, 0),
    sample: Math.min(1, ...stats.map(({ sample = 1 }) => sample)),
    error: Math.max(0, ...stats.map(({ error = 0 }) => error)),
    sources: new Set(stats.map(({ source = 'events' }) => source)),
  };
}

/** Below this an error is not worth a mark beside the figures; it is said when one asks. */
const NOTABLE = 0.01;

/** A hint that tells on demand what the figures were read from; a visible `±` when they are estimates. */
export function Answered({ stats }: { stats: readonly Stats[] }) {
  if (stats.length === 0) return null;
  const { elapsed, rows, sample, error, sources } = together(stats);
  const source = sources.size > 1 ? t('sourceMixed') : sources.has('rollup') ? t('sourceRollup') : t('sourceEvents');
  return (
    <Popover plain title={t('answered')} label={<><Icon name="info" />{error >= NOTABLE && <span class="answered-error">±{formatPercent(error)}</span>}<span class="sr">{t('answered')}</span></>}>
      {() => (
        <dl class="answered">
          <div><dt>{t('answeredSource')}</dt><dd>{source}</dd></div>
          <div><dt>{t('answeredSample')}</dt><dd>{sample < 1 ? t('sampleShare', { share: formatPercent(sample) }) : t('sampleAll')}</dd></div>
          <div><dt>{t('answeredError')}</dt><dd>{error > 0 ? t('errorUpTo', { share: formatPercent(error) }) : t('errorExact')}</dd></div>
          <div><dt>{t('answeredRows')}</dt><dd>{formatCount(rows)}</dd></div>
          <div><dt>{t('answeredTime')}</dt><dd>{formatDuration(elapsed)}</dd></div>
          {stats.length > 1 && <div><dt>{t('answeredQuestions')}</dt><dd>{formatCount(stats.length)}</dd></div>}
        </dl>
      )}
    </Popover>
  );
}
