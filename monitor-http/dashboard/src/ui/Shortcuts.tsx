import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n/frame.ts';
import { go, view } from '../state/store.ts';
import { PAGES, viewOf } from '../state/url.ts';
import { Icon } from './Icon.tsx';
import { pageLabel, pageLetter } from './pages.ts';

export const shortcutsOpen = signal(false);

/** After `g` the letter of a page is waited for this long, ms. */
const PATIENCE = 1_200;

const isTyping = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Keys that work everywhere but where one types: `/`, `?`, and `g` with the letter of a page. */
export function useShortcuts(): void {
  useEffect(() => {
    let asked = 0;
    function onKey(event: KeyboardEvent) {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
      if (Date.now() - asked < PATIENCE) {
        asked = 0;
        const page = PAGES.find((name) => pageLetter(name) === event.key);
        if (!page) return;
        event.preventDefault();
        go(viewOf(view.peek(), page));
        scrollTo(0, 0);
      } else if (event.key === 'g') asked = Date.now();
      else if (event.key === '?') shortcutsOpen.value = true;
      else if (event.key === '/') {
        const field = document.querySelector<HTMLElement>('main input[type="search"]') ?? document.querySelector<HTMLElement>('.filters .button') ?? document.querySelector<HTMLElement>('.filter-toggle');
        if (!field) return;
        event.preventDefault();
        field.focus();
      }
    }
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

/** The list of them. */
export function Shortcuts() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = shortcutsOpen.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const keys: [string[], string][] = [
    [['/'], t('shortcutSearch')], [['?'], t('shortcutHelp')], [['Esc'], t('shortcutClose')],
    ...PAGES.map((page): [string[], string] => [['g', pageLetter(page)], t('shortcutGo', { page: pageLabel(page) })]),
  ];
  return (
    <dialog ref={dialog} class="dialog" aria-label={t('shortcuts')} onClose={() => { shortcutsOpen.value = false; }} onClick={(event) => { if (event.target === event.currentTarget) shortcutsOpen.value = false; }}>
      <div class="dialog-body">
        <header class="card-head"><h2>{t('shortcuts')}</h2><button type="button" class="button button-icon" aria-label={t('close')} onClick={() => { shortcutsOpen.value = false; }}><Icon name="close" /></button></header>
        <dl class="shortcuts">{keys.map(([combination, text]) => <div key={text}><dt>{combination.map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{text}</dd></div>)}</dl>
      </div>
    </dialog>
  );
}
