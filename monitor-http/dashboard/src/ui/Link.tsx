import type { ComponentChildren } from 'preact';
import { t } from '../i18n/frame.ts';
import { go, view } from '../state/store.ts';
import { formatView, parseView, viewOf, type Filters, type Page, type View } from '../state/url.ts';

/** The address of another page with this range and these filters. */
export function hrefOf(page: Page, change: Partial<View> = {}): string {
  return formatView(viewOf(view.value, page, change));
}

/** Follows a link within the dashboard without loading it again. For `onClick` of any `a`. */
export function follow(event: MouseEvent): void {
  // A click with a modifier opens another tab, as on any link.
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.defaultPrevented) return;
  const { hash } = event.currentTarget as HTMLAnchorElement;
  if (!hash) return;
  event.preventDefault();
  go(parseView(hash));
  scrollTo(0, 0);
}

interface Props {
  page: Page;
  change?: Partial<View>;
  class?: string;
  title?: string;
  /** Whether it is the page in view. */
  current?: boolean;
  children: ComponentChildren;
}

/** To another page of the dashboard; range and filters go along. */
export function Link({ page, change, current = false, children, ...rest }: Props) {
  return <a href={hrefOf(page, change)} aria-current={current ? 'page' : undefined} onClick={follow} {...rest}>{children}</a>;
}

interface EventsProps {
  kinds?: string[];
  /** Beside those of the view. */
  filters?: Partial<Filters>;
  class?: string;
  children: ComponentChildren;
}

export function eventsHref({ kinds = [], filters = {} }: Pick<EventsProps, 'kinds' | 'filters'>): string {
  return hrefOf('events', { kinds, filters: { ...view.value.filters, ...filters } as Filters });
}

/** From a number to the events behind it. */
export function EventsLink({ kinds, filters, class: name = '', children }: EventsProps) {
  return <a class={`events-link ${name}`} href={eventsHref({ ...(kinds && { kinds }), ...(filters && { filters }) })} title={t('seeEvents')} onClick={follow}>{children}</a>;
}
