import { t } from '../i18n/errors.ts';
import { formatDuration, formatTime } from '../lib/format.ts';
import { Card } from './bits.tsx';
import { JsonTree } from './JsonTree.tsx';

const CATEGORIES = ['navigation', 'click', 'request', 'console', 'error', 'custom', 'rage_click', 'dead_click', 'form_submit'];
const SHOWN = 200;

/** What happened on the page before the event; the crumbs are whatever the sender put there. */
export function Breadcrumbs({ crumbs, at }: { crumbs: readonly unknown[]; at: number }) {
  if (crumbs.length === 0) return null;
  return (
    <Card title={t('breadcrumbs')}>
      <ol class="crumbs">
        {crumbs.slice(-SHOWN).map((crumb, index) => <Crumb key={index} crumb={crumb} at={at} />)}
      </ol>
    </Card>
  );
}

function Crumb({ crumb, at }: { crumb: unknown; at: number }) {
  if (crumb === null || typeof crumb !== 'object') return <li class="crumb-row"><span class="crumb-message">{String(crumb)}</span></li>;
  const { time, category, message, level, data } = crumb as Record<string, unknown>;
  const moment = typeof time === 'number' ? time : typeof time === 'string' ? Date.parse(time) : Number.NaN;
  const kind = typeof category === 'string' ? category : '';
  const bad = level === 'error' || level === 'warning' || level === 'fatal' || kind === 'error';
  return (
    <li class={`crumb-row crumb-${CATEGORIES.includes(kind) ? kind : 'custom'} ${bad ? 'crumb-bad' : ''}`}>
      <span class="crumb-time" title={formatTime(moment)}>{Number.isFinite(moment) && moment <= at ? `−${formatDuration(at - moment)}` : formatTime(moment)}</span>
      <span class="tag">{kind || 'custom'}{typeof level === 'string' && level !== 'info' ? ` · ${level}` : ''}</span>
      <span class="crumb-message">{typeof message === 'string' ? message : message === undefined ? '' : JSON.stringify(message)}
        {data !== null && typeof data === 'object' && Object.keys(data).length > 0 && <span class="json"><JsonTree name="data" value={data} /></span>}
      </span>
    </li>
  );
}
