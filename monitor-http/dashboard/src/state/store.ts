// What the whole page shares: the view in the address bar, the projects, the theme, the clock.

import { computed, signal } from '@preact/signals';
import type { Project } from '../api/types.ts';
import { formatView, parseView, withParam, type View } from './url.ts';

export const view = signal<View>(parseView(location.hash));

addEventListener('hashchange', () => { view.value = parseView(location.hash); });

/** Goes to another view; `replace` for changes that should not fill the history, like typing into a search field. */
export function go(next: View, how: 'push' | 'replace' = 'push'): void {
  const hash = formatView(next);
  if (hash === location.hash) return;
  history[how === 'push' ? 'pushState' : 'replaceState'](null, '', hash);
  view.value = next;
}

export function change(part: Partial<View>, how: 'push' | 'replace' = 'push'): void {
  go({ ...view.peek(), ...part }, how);
}

/** Keeps something of the page's own in the address. */
export function setParam(name: string, value: string | readonly string[], how: 'push' | 'replace' = 'push'): void {
  change({ params: withParam(view.peek(), name, value) }, how);
}

/** `null` until the service answered. */
export const projects = signal<Project[] | null>(null);

/** The project in view: the one of the address, or else the first one the reader may see. */
export const project = computed<Project | null>(() => {
  const all = projects.value;
  if (!all) return null;
  const id = view.value.project;
  if (!id) return all[0] ?? null;
  // An unknown id is asked for all the same: the service says what is wrong with it.
  return all.find((candidate) => candidate.id === id) ?? { id, name: id, dsn: '', key: '' };
});

/** The time of the last complete update of the page's data, for the live dot. */
export const updatedAt = signal<number | null>(null);
/** False while the last update failed. */
export const updating = signal(true);

const beats = signal<readonly number[]>([]);
/** How often what is on the page is asked for again, ms: what is asked for most often. 0 where nothing is. */
export const refreshedEvery = computed(() => (beats.value.length > 0 ? Math.min(...beats.value) : 0));

/** Says that something is asked for again every so many ms, until the function is called that it gives. */
export function refreshes(every: number): () => void {
  beats.value = [...beats.peek(), every];
  return () => {
    const gone = beats.peek().indexOf(every);
    beats.value = beats.peek().filter((_, index) => index !== gone);
  };
}

/** Ticks once a second, for "12 s ago". */
export const now = signal(Date.now());
setInterval(() => { if (!document.hidden) now.value = Date.now(); }, 1000);

export type Theme = 'auto' | 'light' | 'dark';
const THEME = 'monitor-kit.theme';
const prefersDark = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(prefersDark.matches);
prefersDark.addEventListener('change', () => { systemDark.value = prefersDark.matches; });

export const theme = signal<Theme>(readTheme());
export const dark = computed(() => (theme.value === 'auto' ? systemDark.value : theme.value === 'dark'));

function readTheme(): Theme {
  try {
    const stored = localStorage.getItem(THEME);
    return stored === 'light' || stored === 'dark' ? stored : 'auto';
  } catch {
    return 'auto';
  }
}

export function setTheme(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem(THEME, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
