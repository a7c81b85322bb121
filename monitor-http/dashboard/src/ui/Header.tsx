import { useState } from 'preact/hooks';
import { MAX_RANGE } from '../api/queries.ts';
import { formatDateTime, formatTime } from '../lib/format.ts';
import { PRESETS, isPreset, refreshEvery, type Range } from '../lib/range.ts';
import { change, dark, go, now, project, projects, setTheme, theme, updatedAt, updating, view, type Theme } from '../state/store.ts';
import { FILTER_FIELDS, NO_FILTERS, PAGES, formatView, hasFilters, viewOf, type FilterField, type Page } from '../state/url.ts';
import { Segments } from './bits.tsx';
import { Icon, type IconName } from './Icon.tsx';
import { MultiSelect } from './MultiSelect.tsx';
import { Popover } from './Popover.tsx';

export type Options = Record<Exclude<FilterField, 'route'>, { value: string; count: number }[]>;

const PAGE_LABELS: Record<Page, string> = { overview: 'Overview', errors: 'Errors', pages: 'Pages', live: 'Live' };
const FILTER_LABELS: Record<FilterField, string> = { release: 'Release', environment: 'Environment', browser: 'Browser', route: 'Route' };

/** Project, pages, range, filters. `bare` leaves out what means nothing for a project without events. */
export function Header({ options, bare = false }: { options: Options; bare?: boolean }) {
  const { page } = view.value;
  return (
    <header class="header">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.querySelector<HTMLElement>('a, button, input, select, [tabindex]')?.focus(); }}>Skip to content</a>
      <div class="header-top">
        <span class="brand"><Mark />Monitor Kit</span>
        <ProjectSelect />
        {!bare && (
          <nav class="nav" aria-label="Pages">
            {PAGES.map((name) => (
              <a key={name} href={formatView(viewOf(view.value, name))} aria-current={name === page ? 'page' : undefined} onClick={(event) => follow(event, name)}>{PAGE_LABELS[name]}</a>
            ))}
          </nav>
        )}
        <div class="header-end">
          {!bare && page !== 'live' && <LiveDot />}
          <ThemeButton />
        </div>
      </div>
      {!bare && <FilterBar options={options} />}
    </header>
  );
}

function follow(event: MouseEvent, page: Page) {
  // A click with a modifier opens another tab, as on any link.
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(viewOf(view.peek(), page));
  scrollTo(0, 0);
}

function Mark() {
  return <svg class="mark" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true"><rect width="32" height="32" rx="8" /><path d="M6 17h5l3-8 5 14 3-6h4" /></svg>;
}

function ProjectSelect() {
  const all = projects.value ?? [];
  const current = project.value;
  if (!current) return null;
  const known = all.some(({ id }) => id === current.id);
  return (
    <select class="select project-select" aria-label="Project" value={current.id} onChange={(event) => {
      // Releases and routes of one project say nothing about another.
      go(viewOf(view.peek(), view.peek().page, { project: event.currentTarget.value, filters: NO_FILTERS }));
    }}>
      {!known && <option value={current.id}>{current.id}</option>}
      {all.map(({ id, name }) => <option key={id} value={id}>{name || id}</option>)}
    </select>
  );
}

function LiveDot() {
  const every = refreshEvery(view.value.range);
  const at = updatedAt.value;
  const failing = !updating.value;
  const state = failing ? 'failing' : every === 0 ? 'fixed' : every <= 5_000 ? 'live' : 'slow';
  const text = { failing: 'Not updating', fixed: 'Fixed range', live: 'Live', slow: every <= 30_000 ? 'Every 30 s' : 'Every 5 min' }[state];
  return (
    <span class={`live live-${state}`} title={at ? `Updated at ${formatTime(at)}` : ''}>
      <span class="live-dot" />{text}{at !== null && state !== 'live' && state !== 'fixed' && now.value - at > 10_000 ? <span class="live-at"> · {formatTime(at)}</span> : null}
    </span>
  );
}

const THEMES: readonly { value: Theme; label: string; icon: IconName }[] = [
  { value: 'auto', label: 'As the system', icon: 'auto' }, { value: 'light', label: 'Light', icon: 'sun' }, { value: 'dark', label: 'Dark', icon: 'moon' },
];

function ThemeButton() {
  const index = THEMES.findIndex(({ value }) => value === theme.value);
  const current = THEMES[index] ?? THEMES[0]!;
  const next = THEMES[(index + 1) % THEMES.length] ?? current;
  const label = `Theme: ${current.label}${current.value === 'auto' ? ` (${dark.value ? 'dark' : 'light'})` : ''}. Switch to: ${next.label}`;
  return <button type="button" class="button button-icon" title={label} aria-label={label} onClick={() => setTheme(next.value)}><Icon name={current.icon} /></button>;
}

function FilterBar({ options }: { options: Options }) {
  const [open, setOpen] = useState(false);
  const { filters, page } = view.value;
  const active = FILTER_FIELDS.reduce((sum, field) => sum + filters[field].length, 0);
  const set = (field: FilterField) => (values: string[]) => change({ filters: { ...view.peek().filters, [field]: values } });
  return (
    <div class="filter-bar">
      {page !== 'live' && <RangePicker />}
      <button type="button" class={`button filter-toggle ${active ? 'button-active' : ''}`} aria-expanded={open} onClick={() => setOpen(!open)}><Icon name="filter" />Filters{active > 0 && ` (${active})`}</button>
      <div class={`filters ${open ? 'filters-open' : ''}`}>
        {(['release', 'environment', 'browser'] as const).map((field) => (
          <MultiSelect key={field} label={FILTER_LABELS[field]} options={options[field]} chosen={filters[field]} onChange={set(field)} />
        ))}
        {filters.route.map((route) => (
          <span class="chip" key={route}><span class="chip-name">Route</span><span class="clip">{route || '(none)'}</span>
            <button type="button" aria-label={`Remove route ${route}`} onClick={() => set('route')(filters.route.filter((other) => other !== route))}><Icon name="close" /></button>
          </span>
        ))}
        {hasFilters(filters) && <button type="button" class="link" onClick={() => change({ filters: NO_FILTERS })}>Clear all</button>}
      </div>
    </div>
  );
}

const PRESET_OPTIONS = (Object.keys(PRESETS) as (keyof typeof PRESETS)[]).map((value) => ({ value: value as string, label: value }));

function RangePicker() {
  const { range } = view.value;
  const chosen = 'preset' in range ? range.preset : '';
  return (
    <div class="range">
      <Segments label="Time range" options={PRESET_OPTIONS} value={chosen} onChange={(value) => { if (isPreset(value)) change({ range: { preset: value } }); }} />
      <Popover active={chosen === ''} label={<span>{'preset' in range ? 'Custom' : `${formatDateTime(range.from)} – ${formatDateTime(range.to)}`}</span>}>
        {(close) => <CustomRange range={range} close={close} />}
      </Popover>
    </div>
  );
}

function CustomRange({ range, close }: { range: Range; close(): void }) {
  const shown = 'preset' in range ? { from: Date.now() - PRESETS[range.preset], to: Date.now() } : range;
  const [from, setFrom] = useState(localText(shown.from));
  const [to, setTo] = useState(localText(shown.to));
  const [start, end] = [new Date(from).getTime(), new Date(to).getTime()];
  const problem = !(start < end) ? 'The end must be after the start.' : end - start > MAX_RANGE ? 'At most 400 days can be shown.' : '';
  const valid = problem === '';
  return (
    <form class="custom-range" onSubmit={(event) => {
      event.preventDefault();
      if (!valid) return;
      change({ range: { from: start, to: end } });
      close();
    }}>
      <label>From<input class="input" type="datetime-local" value={from} onInput={(event) => setFrom(event.currentTarget.value)} /></label>
      <label>To<input class="input" type="datetime-local" value={to} onInput={(event) => setTo(event.currentTarget.value)} /></label>
      {problem && <p class="field-error" role="alert">{problem}</p>}
      <button type="submit" class="button button-primary" disabled={!valid}>Apply</button>
    </form>
  );
}

/** `2026-01-31T13:45` in the viewer's zone: what `datetime-local` takes. */
function localText(time: number): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}
