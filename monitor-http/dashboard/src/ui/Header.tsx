import { t } from '../i18n/frame.ts';
import { formatTime } from '../lib/format.ts';
import { change, go, now, project, projects, refreshedEvery, updatedAt, updating, view } from '../state/store.ts';
import { NO_FILTERS, viewOf } from '../state/url.ts';
import { FilterBar } from './FilterBar.tsx';
import { Icon } from './Icon.tsx';
import { RangePicker } from './RangePicker.tsx';
import { SavedViews } from './SavedViews.tsx';

/** Project, range, filters. `bare` leaves out what means nothing for a project without events. */
export function Header({ bare = false, menu }: { bare?: boolean; menu: { open: boolean; toggle(): void } }) {
  const { page, compare } = view.value;
  // What is shown as it happens has no range.
  const ranged = !bare && page !== 'live' && page !== 'system';
  return (
    <header class="header">
      <div class="header-top">
        <button type="button" class="button button-icon menu-button" aria-expanded={menu.open} aria-controls="menu" aria-label={t('menu')} onClick={menu.toggle}><Icon name={menu.open ? 'close' : 'menu'} /></button>
        <ProjectSelect />
        {ranged && <RangePicker />}
        {ranged && <button type="button" class={`button compare-button ${compare ? 'button-active' : ''}`} aria-pressed={compare} title={t('compareTitle')} onClick={() => change({ compare: !compare }, 'replace')}><Icon name="compare" /><span>{t('compare')}</span></button>}
        <div class="header-end">
          {ranged && <Freshness />}
          {!bare && <SavedViews />}
        </div>
      </div>
      {!bare && page !== 'system' && <FilterBar />}
    </header>
  );
}

function ProjectSelect() {
  const all = projects.value ?? [];
  const current = project.value;
  if (!current) return null;
  const known = all.some(({ id }) => id === current.id);
  return (
    <select class="select project-select" aria-label={t('project')} value={current.id} onChange={(event) => {
      // Releases and routes of one project say nothing about another.
      go(viewOf(view.peek(), view.peek().page, { project: event.currentTarget.value, filters: NO_FILTERS }));
    }}>
      {!known && <option value={current.id}>{current.id}</option>}
      {all.map(({ id, name }) => <option key={id} value={id}>{name || id}</option>)}
    </select>
  );
}

/** How often the page asks again, and whether the last time went well. Nothing where it does not ask again though time goes on, as for a list of events. */
function Freshness() {
  const every = refreshedEvery.value;
  if (every === 0 && 'preset' in view.value.range) return null;
  const at = updatedAt.value;
  const failing = !updating.value;
  const state = failing ? 'failing' : every === 0 ? 'fixed' : every <= 5_000 ? 'live' : 'slow';
  const text = failing ? t('notUpdating') : every === 0 ? t('fixedRange') : every < 60_000 ? t('everySeconds', { n: every / 1000 }) : t('everyMinutes', { n: every / 60_000 });
  return (
    <span class={`live live-${state}`} title={at ? t('updatedAt', { time: formatTime(at) }) : ''}>
      <span class="live-dot" /><span class="live-every">{text}</span>{at !== null && state === 'failing' && now.value - at > 10_000 ? <span class="live-at"> · {formatTime(at)}</span> : null}
    </span>
  );
}
