import { useState } from 'preact/hooks';
import { messages } from '../i18n/index.ts';

const t = messages({
  more: ['{n} more', '还有 {n} 项'],
  characters: ['{n} more {n|character|characters}', '还有 {n} 个字符'],
});

const PAGE = 100;
const LONG_TEXT = 5_000;

/** Any JSON as a tree that opens node by node; what is closed is not built. Text only, whatever it holds. */
export function JsonTree({ value, name, open = false }: { value: unknown; name?: string; open?: boolean }) {
  const [isOpen, setOpen] = useState(open);
  const [shown, setShown] = useState(PAGE);
  const key = name === undefined ? null : <><span class="json-key">{name}</span>: </>;
  if (value === null || typeof value !== 'object') return <div class="json-leaf">{key}<Leaf value={value} /></div>;
  const isArray = Array.isArray(value);
  const entries = Object.entries(value);
  const summary = isArray ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0) return <div class="json-leaf">{key}<span class="muted">{isArray ? '[]' : '{}'}</span></div>;
  return (
    <details class="json-node" open={isOpen} onToggle={(event) => { event.stopPropagation(); setOpen(event.currentTarget.open); }}>
      <summary>{key}<span class="muted">{summary}</span></summary>
      {isOpen && entries.slice(0, shown).map(([child, childValue]) => <JsonTree key={child} name={child} value={childValue} />)}
      {isOpen && entries.length > shown && <button type="button" class="link" onClick={() => setShown(shown + PAGE)}>{t('more', { n: entries.length - shown })}</button>}
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  const [whole, setWhole] = useState(false);
  if (typeof value !== 'string') return <span class="json-literal">{String(value)}</span>;
  const text = whole ? value : value.slice(0, LONG_TEXT);
  return (
    <span class="json-text">"{text}"{text.length < value.length && <button type="button" class="link" onClick={() => setWhole(true)}> {t('characters', { n: value.length - text.length })}</button>}</span>
  );
}
