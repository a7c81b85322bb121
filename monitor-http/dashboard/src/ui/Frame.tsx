import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { t } from '../i18n/frame.ts';
import { Header } from './Header.tsx';
import { Shortcuts, useShortcuts } from './Shortcuts.tsx';
import { Sidebar } from './Sidebar.tsx';

/** What stands around every page. */
export function Frame({ bare = false, children }: { bare?: boolean; children: ComponentChildren }) {
  const [menu, setMenu] = useState(false);
  useShortcuts();
  return (
    <div class="app">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>{t('skip')}</a>
      <Sidebar bare={bare} open={menu} close={() => setMenu(false)} />
      <div class="content">
        <Header bare={bare} menu={{ open: menu, toggle: () => setMenu(!menu) }} />
        <main class="main" id="main" tabIndex={-1}>{children}</main>
      </div>
      <Shortcuts />
    </div>
  );
}
