import { forgetReader, getMe, hasToken, logOut } from '../api/client.ts';
import { t } from '../i18n/frame.ts';
import { LANGUAGES, language, setLanguage, type Language } from '../i18n/index.ts';
import { dark, setTheme, theme, view, type Theme } from '../state/store.ts';
import { PAGES } from '../state/url.ts';
import { useResource } from '../state/use-resource.ts';
import { Icon, type IconName } from './Icon.tsx';
import { Link } from './Link.tsx';
import { pageIcon, pageLabel, pageLetter } from './pages.ts';
import { shortcutsOpen } from './Shortcuts.tsx';

/** The pages, and what is the viewer's own: language and theme. `bare` leaves out the pages of a project without events. */
export function Sidebar({ bare, open, close }: { bare: boolean; open: boolean; close(): void }) {
  const { page } = view.value;
  return (
    <div class={`sidebar ${open ? 'sidebar-open' : ''}`} id="menu" onClick={(event) => { if ((event.target as Element).closest('a')) close(); }}>
      <span class="brand"><Mark /><span class="brand-name">Monitor Kit</span></span>
      {!bare && (
        <nav class="nav" aria-label={t('pages')}>
          {PAGES.map((name) => (
            <Link key={name} page={name} current={name === page} title={`${pageLabel(name)} (g ${pageLetter(name)})`}><Icon name={pageIcon(name)} /><span class="nav-label">{pageLabel(name)}</span></Link>
          ))}
        </nav>
      )}
      <Account />
      <div class="sidebar-end">
        <LanguageSelect />
        <ThemeButton />
        <button type="button" class="button button-icon shortcut-button" title={t('shortcuts')} aria-label={t('shortcuts')} onClick={() => { shortcutsOpen.value = true; }}><Icon name="keyboard" /></button>
      </div>
    </div>
  );
}

/** Who is signed in, where one can sign in at all. */
function Account() {
  const { data } = useResource('me', getMe);
  if (!data || !(data.can_log_out || hasToken())) return null;
  async function leave() {
    // A token is forgotten; a session is ended where it is kept, so that it is worth nothing any more.
    if (data?.can_log_out) await logOut(new AbortController().signal).catch(() => forgetReader());
    else forgetReader();
  }
  return (
    <div class="account">
      {data.name && <span class="account-name clip" title={t('signedInAs', { name: data.name })}>{data.name}</span>}
      <button type="button" class="plain-button" title={t('signOut')} aria-label={t('signOut')} onClick={() => void leave()}><Icon name="leave" /></button>
    </div>
  );
}

function Mark() {
  return <svg class="mark" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true"><rect width="32" height="32" rx="8" /><path d="M6 17h5l3-8 5 14 3-6h4" /></svg>;
}

function LanguageSelect() {
  return (
    <select class="select language-select" aria-label={t('language')} value={language.value} onChange={(event) => setLanguage(event.currentTarget.value as Language)}>
      {LANGUAGES.map(({ value, label }) => <option key={value} value={value}>{label}</option>)}
    </select>
  );
}

function ThemeButton() {
  const themes: readonly { value: Theme; label: string; icon: IconName }[] = [
    { value: 'auto', label: `${t('themeAuto')} (${dark.value ? t('themeDark') : t('themeLight')})`, icon: 'auto' }, { value: 'light', label: t('themeLight'), icon: 'sun' }, { value: 'dark', label: t('themeDark'), icon: 'moon' },
  ];
  const index = themes.findIndex(({ value }) => value === theme.value);
  const current = themes[index] ?? themes[0]!;
  const next = themes[(index + 1) % themes.length] ?? current;
  const label = t('themeSwitch', { now: current.label, next: next.label });
  return <button type="button" class="button button-icon" title={label} aria-label={label} onClick={() => setTheme(next.value)}><Icon name={current.icon} /></button>;
}
