// What each kind of event is called, and how one of it is told in a line.

import type { EventField, EventPart } from '../api/types.ts';
import { t } from '../i18n/frame.ts';
import { formatCount, formatDuration, formatVital } from './format.ts';

const LABELS = {
  error: 'kindError', message: 'kindMessage', vital: 'kindVital', navigation: 'kindNavigation', resource: 'kindResource', request: 'kindRequest', longtask: 'kindLongtask',
  page_view: 'kindPageView', click: 'kindClick', rage_click: 'kindRageClick', dead_click: 'kindDeadClick', form_submit: 'kindFormSubmit', time_on_page: 'kindTimeOnPage',
  scroll_depth: 'kindScrollDepth', exposure: 'kindExposure', track: 'kindTrack', console: 'kindConsole', csp: 'kindCsp', report: 'kindReport', blank_screen: 'kindBlankScreen',
  session: 'kindSession', span: 'kindSpan',
} as const;

/** Those that the SDK sends, in the order they are offered. */
export const KINDS = Object.keys(LABELS);

/** The kind's own name when it is not a known one. */
export function kindLabel(kind: string): string {
  return Object.hasOwn(LABELS, kind) ? t(LABELS[kind as keyof typeof LABELS]) : kind;
}

const BAD_KINDS = ['error', 'csp', 'blank_screen', 'rage_click'];

export const isBad = ({ kind, failure }: EventPart<'kind' | 'failure'>): boolean => BAD_KINDS.includes(kind) || failure !== '';

/** What a line about an event is made of. */
export const SUMMARY_FIELDS = ['kind', 'name', 'value', 'weight', 'route', 'message', 'status', 'method', 'target', 'failure', 'attributes', 'data'] as const satisfies readonly EventField[];
type Summarized = EventPart<(typeof SUMMARY_FIELDS)[number]>;

/** What happened, beside the kind. */
export function summaryOf(event: Summarized): { name: string; text: string; value: string } {
  const name = event.name === event.kind ? '' : event.name;
  const weight = event.weight !== undefined && event.weight !== 1 ? `×${formatCount(event.weight)}` : '';
  return { name, text: textOf(event), value: [valueOf(event), weight].filter(Boolean).join(' · ') };
}

function textOf(event: Summarized): string {
  const { kind, message, target, route } = event;
  const said = message || textIn(event.data, 'message');
  switch (kind) {
    case 'page_view': return [route, textIn(event.attributes, 'navigation_type')].filter(Boolean).join(' · ');
    case 'navigation': return [textIn(event.attributes, 'navigation_type'), route].filter(Boolean).join(' · ');
    case 'resource': {
      const count = numberIn(event.data, 'count');
      return [count === null ? '' : t('nFiles', { n: count }), target && t('slowest', { target })].filter(Boolean).join(', ') || route;
    }
    case 'form_submit': return [event.method, textIn(event.data, 'action') || target].filter(Boolean).join(' ') || route;
    case 'csp': return target ? t('blocked', { target }) : route;
    default: return said || target || route;
  }
}

const DURATIONS = ['navigation', 'resource', 'request', 'longtask', 'time_on_page', 'blank_screen', 'span'];

function valueOf({ kind, name, value, status, failure }: Summarized): string {
  if (value === null || value === undefined) return failure;
  if (kind === 'vital') return formatVital(name, value);
  if (kind === 'scroll_depth') return `${Math.round(value)}%`;
  if (kind === 'rage_click') return t('nClicks', { n: value });
  if (!DURATIONS.includes(kind)) return String(value);
  return [status || '', failure === 'business' ? t('business') : '', formatDuration(value)].filter(Boolean).join(' · ');
}

const member = (data: unknown, key: string): unknown => (data !== null && typeof data === 'object' && Object.hasOwn(data, key) ? (data as Record<string, unknown>)[key] : undefined);

function textIn(data: unknown, key: string): string {
  const value = member(data, key);
  return typeof value === 'string' ? value : '';
}

function numberIn(data: unknown, key: string): number | null {
  const value = member(data, key);
  return typeof value === 'number' ? value : null;
}
