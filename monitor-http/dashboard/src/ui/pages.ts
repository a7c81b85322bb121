import { t } from '../i18n/frame.ts';
import type { Page } from '../state/url.ts';
import type { IconName } from './Icon.tsx';

type Key = Parameters<typeof t>[0];

/** What each page is called, how its link looks, and the letter that goes to it after `g`. */
const LOOKS: Record<Page, { label: Key; icon: IconName; letter: string }> = {
  overview: { label: 'overview', icon: 'gauge', letter: 'o' },
  performance: { label: 'performance', icon: 'chart', letter: 'p' },
  errors: { label: 'errorsPage', icon: 'bug', letter: 'e' },
  requests: { label: 'requests', icon: 'swap', letter: 'r' },
  behaviour: { label: 'behaviour', icon: 'cursor', letter: 'b' },
  sessions: { label: 'sessionsPage', icon: 'people', letter: 's' },
  live: { label: 'live', icon: 'pulse', letter: 'l' },
  events: { label: 'eventsPage', icon: 'list', letter: 'v' },
  system: { label: 'system', icon: 'server', letter: 'y' },
};

export const pageLabel = (page: Page): string => t(LOOKS[page].label);
export const pageIcon = (page: Page): IconName => LOOKS[page].icon;
export const pageLetter = (page: Page): string => LOOKS[page].letter;
