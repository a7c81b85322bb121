import type { ComponentChildren } from 'preact';
import type { View } from '../state/url.ts';
import { Link } from './Link.tsx';

/** Opens a session of which one moment is known: it is looked for around that, and the address finds it whatever the range is by then. */
export function sessionAt(session: string, time: number | null): Pick<View, 'session' | 'params'> {
  return { session, params: time === null ? {} : { around: [String(time)] } };
}

export function SessionLink({ session, time, class: name = '', children }: { session: string; time: number | null; class?: string; children: ComponentChildren }) {
  return <Link page="sessions" change={sessionAt(session, time)} class={name}>{children}</Link>;
}
