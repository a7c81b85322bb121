import { signal } from '@preact/signals';

export interface SavedView {
  name: string;
  /** The address behind the `#`, with it. */
  hash: string;
}

const KEY = 'monitor-kit.views';
const MOST = 50;

/** The viewer's own, kept in this browser. */
export const savedViews = signal<readonly SavedView[]>(read());

function read(): SavedView[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(stored)) return [];
    return stored.flatMap((entry: { name?: unknown; hash?: unknown } | null) =>
      // An address of this page only: what is stored could have been written by another one of the same origin.
      typeof entry?.name === 'string' && typeof entry.hash === 'string' && entry.hash.startsWith('#/') ? [{ name: entry.name, hash: entry.hash }] : []).slice(0, MOST);
  } catch {
    return [];
  }
}

function write(views: readonly SavedView[]): void {
  savedViews.value = views;
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // Without storage they last as long as the page.
  }
}

/** A view of the same name is replaced. */
export function saveView(name: string, hash: string): void {
  write([...savedViews.peek().filter((saved) => saved.name !== name), { name, hash }].sort((a, b) => a.name.localeCompare(b.name)).slice(-MOST));
}

export function deleteView(name: string): void {
  write(savedViews.peek().filter((saved) => saved.name !== name));
}
