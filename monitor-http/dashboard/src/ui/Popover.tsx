import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './Icon.tsx';

/** A button that opens a panel below itself; Escape, a click elsewhere and leaving by Tab close it. */
export function Popover({ label, active = false, children }: { label: ComponentChildren; active?: boolean; children: (close: () => void) => ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

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

  function close() {
    setOpen(false);
    button.current?.focus();
  }
  return (
    <div class="popover" ref={root} onKeyDown={(event) => { if (open && event.key === 'Escape') close(); }}>
      <button type="button" ref={button} class={`button ${active ? 'button-active' : ''}`} aria-expanded={open} onClick={() => setOpen(!open)}>{label}<Icon name="chevron" /></button>
      {open && <div class="popover-panel">{children(close)}</div>}
    </div>
  );
}
