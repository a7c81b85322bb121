import { useState } from 'preact/hooks';
import { t } from '../i18n/frame.ts';
import { deleteView, saveView, savedViews } from '../state/saved-views.ts';
import { view } from '../state/store.ts';
import { formatView } from '../state/url.ts';
import { Icon } from './Icon.tsx';
import { follow } from './Link.tsx';
import { pageLabel } from './pages.ts';
import { Popover } from './Popover.tsx';

/** Addresses with a name: page, range and filters that one comes back to. */
export function SavedViews() {
  return <Popover class="saved" title={t('savedViews')} label={<><Icon name="bookmark" /><span class="saved-label">{t('savedViews')}</span></>}>{(close) => <Views close={close} />}</Popover>;
}

function Views({ close }: { close(): void }) {
  const [name, setName] = useState('');
  const here = formatView(view.value);
  const trimmed = name.trim();
  return (
    <div class="views">
      {savedViews.value.length === 0 ? <p class="muted hint">{t('noSavedViews')}</p> : (
        <ul class="views-list">
          {savedViews.value.map((saved) => (
            <li key={saved.name}>
              <a href={saved.hash} aria-current={saved.hash === here ? 'page' : undefined} onClick={(event) => { follow(event); close(); }}>{saved.name}</a>
              <button type="button" class="plain-button" aria-label={t('deleteView', { name: saved.name })} onClick={() => deleteView(saved.name)}><Icon name="trash" /></button>
            </li>
          ))}
        </ul>
      )}
      <form class="views-form" onSubmit={(event) => {
        event.preventDefault();
        if (!trimmed) return;
        saveView(trimmed, here);
        close();
      }}>
        <label class="field">{t('viewName')}<input class="input" value={name} maxLength={80} autocomplete="off" placeholder={pageLabel(view.value.page)} onInput={(event) => setName(event.currentTarget.value)} /></label>
        <button type="submit" class="button button-primary" disabled={!trimmed}>{t('saveView')}</button>
      </form>
    </div>
  );
}
