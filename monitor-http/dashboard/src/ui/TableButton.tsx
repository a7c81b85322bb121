import { t } from '../i18n/frame.ts';
import { Icon } from './Icon.tsx';

/** Turns a drawing into the table of its numbers, and back. */
export function TableButton({ title, asTable, toggle }: { title: string; asTable: boolean; toggle(): void }) {
  return (
    <button type="button" class="button button-icon" aria-pressed={asTable} title={asTable ? t('showChart') : t('showTable')} onClick={toggle}>
      <Icon name={asTable ? 'chart' : 'table'} /><span class="sr">{t('chartTable', { title })}</span>
    </button>
  );
}
