import { t } from '../i18n/frame.ts';
import { NO_VALUE, formatCount, formatPercent } from '../lib/format.ts';

/** Shares of the three bands: patterned as well as coloured, with the shares in words for who cannot see either. */
export function BandBar({ good, needs, poor, text = true }: { good: number; needs: number; poor: number; text?: boolean }) {
  const total = good + needs + poor;
  const share = (count: number) => (total ? formatPercent(count / total) : NO_VALUE);
  const parts = [{ name: 'good', label: t('good'), count: good }, { name: 'needs-improvement', label: t('needsImprovement'), count: needs }, { name: 'poor', label: t('poor'), count: poor }];
  return (
    <span class="distribution">
      <span class="distribution-bar" role="img" aria-label={t('bandShares', { good: share(good), needs: share(needs), poor: share(poor) })}>
        {parts.map((part) => part.count > 0 && <span key={part.name} class={`part part-${part.name}`} style={{ flexGrow: part.count }} title={`${part.label}: ${formatCount(part.count)}`} />)}
      </span>
      {text && <span class="distribution-text" aria-hidden="true">{parts.map((part) => <span key={part.name} class={`share share-${part.name}`} title={`${part.label}: ${formatCount(part.count)}`}>{share(part.count)}</span>)}</span>}
    </span>
  );
}
