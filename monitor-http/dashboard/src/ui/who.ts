import { textOf, type Row } from '../api/table.ts';
import { t } from '../i18n/sessions.ts';

/** How the visitor of a session is called: by the user id when there is one. */
export function whoOf(row: Row): string {
  const [user, visitor] = [textOf(row, 'user'), textOf(row, 'visitor')];
  return user ? t('user', { id: user }) : visitor ? t('visitor', { id: visitor.slice(0, 12) }) : t('anonymous');
}
