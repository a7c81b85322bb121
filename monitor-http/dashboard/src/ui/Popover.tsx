import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './Icon.tsx';

interface Props {
  label: ComponentChildren;
  active?: boolean;
  /** Without the look of a button. */
  plain?: boolean;
  title?: string;
  class?: string;
  children: (close: () => void) => ComponentChildren;
}

/** A button that opens a panel below itself; Escape, a click elsewhere and leaving by Tab close it. */
export function Popover({ label, active = false, plain = false, title, class: name = '', children }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!open) return;
    const onDown = (event: Event) => { if (!root.current?.contains(event.target as Node)) setOpen(false); };
    document.addEventListener('pointerdown', onDown);
    document.addEventListener('focusin', onDown);
    return () => {
      document.removeEventListener('pointerdown', onDown);
      document.removeEventListener('focusin', onDown);
    };
  }, [open]);

  // Near the right edge it opens to the left; it never leaves the screen.
  useLayoutEffect(() => {
    const { current } = panel;
    if (!open || !current) return;
    current.style.translate = '';
    const { left, right } = current.getBoundingClientRect();
    const over = Math.max(0, right - (document.documentElement.clientWidth - 8));
    const shift = left - over < 8 ? 8 - left : -over;
    if (shift !== 0) current.style.translate = `${shift}px 0`;
  }, [open]);

  function close() {
    setOpen(false);
    button.current?.focus();
  }
  return (
    <div class={`popover ${name}`} ref={root} onKeyDown={(event) => { if (open && event.key === 'Escape') { event.stopPropagation(); close(); } }}>
      <button type="button" ref={button} title={title} class={plain ? 'plain-button' : `button ${active ? 'button-active' : ''}`} aria-expanded={open} onClick={() => setOpen(!open)}>{label}{!plain && <Icon name="chevron" />}</button>
      {open && <div class="popover-panel" ref={panel}>{children(close)}</div>}
    </div>
  );
}
