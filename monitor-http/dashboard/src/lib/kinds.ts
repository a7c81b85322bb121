// What each kind of event is called, and how one of it is told in a line.

import type { EventDocument } from '../api/types.ts';
import { formatCount, formatDuration, formatVital, plural } from './format.ts';

export const KIND_LABELS: Record<string, string> = {
  error: 'Error', message: 'Message', vital: 'Web vital', navigation: 'Page load', resource: 'Resources', request: 'Request', longtask: 'Long task',
  page_view: 'Page view', click: 'Click', rage_click: 'Rage click', dead_click: 'Dead click', form_submit: 'Form sent', time_on_page: 'Time on page',
  scroll_depth: 'Scroll depth', exposure: 'Exposure', track: 'Custom', console: 'Console', csp: 'CSP violation', report: 'Browser report', blank_screen: 'Blank screen',
  session: 'Session', span: 'Span',
};

/** The kind's own name when it is not a known one. */
export function kindLabel(kind: string): string {
  return Object.hasOwn(KIND_LABELS, kind) ? KIND_LABELS[kind]! : kind;
}

const BAD_KINDS = ['error', 'csp', 'blank_screen', 'rage_click'];

export const isBad = ({ kind, failure }: EventDocument): boolean => BAD_KINDS.includes(kind) || failure !== '';

/** What happened, beside the kind. */
export function summaryOf(event: EventDocument): { name: string; text: string; value: string } {
  const name = event.name === event.kind ? '' : event.name;
  const weight = event.weight !== undefined && event.weight !== 1 ? `×${formatCount(event.weight)}` : '';
  return { name, text: textOf(event), value: [valueOf(event), weight].filter(Boolean).join(' · ') };
}

function textOf(event: EventDocument): string {
  const { kind, message, target, route } = event;
  const said = message || textIn(event.data, 'message');
  switch (kind) {
    case 'page_view': return [route, textIn(event.attributes, 'navigation_type')].filter(Boolean).join(' · ');
    case 'navigation': return [textIn(event.attributes, 'navigation_type'), route].filter(Boolean).join(' · ');
    case 'resource': {
      const count = numberIn(event.data, 'count');
      return [count === null ? '' : plural(count, 'file'), target && `slowest ${target}`].filter(Boolean).join(', ') || route;
    }
    case 'form_submit': return [event.method, textIn(event.data, 'action') || target].filter(Boolean).join(' ') || route;
    case 'csp': return target ? `blocked ${target}` : route;
    default: return said || target || route;
  }
}

const DURATIONS = ['navigation', 'resource', 'request', 'longtask', 'time_on_page', 'blank_screen', 'span'];

function valueOf({ kind, name, value, status, failure }: EventDocument): string {
  if (value === null || value === undefined) return failure;
  if (kind === 'vital') return formatVital(name, value);
  if (kind === 'scroll_depth') return `${Math.round(value)}%`;
  if (kind === 'rage_click') return plural(value, 'click');
  if (!DURATIONS.includes(kind)) return String(value);
  return [status || '', failure === 'business' ? failure : '', formatDuration(value)].filter(Boolean).join(' · ');
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
