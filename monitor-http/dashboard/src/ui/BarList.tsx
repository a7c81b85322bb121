import type { ComponentChildren } from 'preact';
import { follow } from './Link.tsx';

export interface BarItem {
  key: string;
  label: ComponentChildren;
  /** What the length of the bar is made of. */
  value: number;
  /** What is said at its end. */
  text: ComponentChildren;
  title?: string;
  /** Where it leads, within the dashboard; without it and `onPick` it leads nowhere. */
  href?: string;
  onPick?(): void;
}

/** A few values with their numbers as a list of bars. `of` is what the longest possible bar stands for. */
export function BarList({ items, of, tone = 'accent', more }: { items: readonly BarItem[]; of: number; tone?: 'accent' | 'poor' | 'muted'; more?: ComponentChildren }) {
  return (
    <ul class={`bars bars-${tone}`}>
      {items.map(({ key, label, value, text, title, href, onPick }) => {
        const inside = <><span class="bar-fill" style={{ width: `${of > 0 ? Math.min(100, (value / of) * 100) : 0}%` }} /><span class="clip">{label}</span><span class="bar-count">{text}</span></>;
        return (
          <li key={key}>
            {href ? <a class="bar" href={href} onClick={follow} title={title}>{inside}</a>
              : onPick ? <button type="button" class="bar" title={title} onClick={onPick}>{inside}</button>
              : <div class="bar bar-still" title={title}>{inside}</div>}
          </li>
        );
      })}
      {more && <li class="bars-more muted">{more}</li>}
    </ul>
  );
}
