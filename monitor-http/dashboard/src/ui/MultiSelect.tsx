import { useState } from 'preact/hooks';
import { t } from '../i18n/frame.ts';
import { formatCount } from '../lib/format.ts';
import { Popover } from './Popover.tsx';

interface Props {
  label: string;
  options: readonly { value: string; label?: string; count?: number }[];
  chosen: readonly string[];
  onChange(chosen: string[]): void;
}

const SHOWN = 200;

const labelOf = ({ value, label = value }: { value: string; label?: string }) => label;

/** Any number of values of one field; nothing chosen means all of them. */
export function MultiSelect(props: Props) {
  const { label, options, chosen } = props;
  const [first] = chosen;
  const text = first === undefined ? label : chosen.length === 1 ? `${label}: ${labelOf(options.find(({ value }) => value === first) ?? { value: first }) || t('none')}` : `${label}: ${chosen.length}`;
  return <Popover label={<span class="clip">{text}</span>} active={chosen.length > 0}>{() => <Options {...props} />}</Popover>;
}

/** The check boxes of the values. */
export function Options({ label, options, chosen, onChange }: Props) {
  const [search, setSearch] = useState('');
  // What is chosen stays visible when it no longer occurs in the range: otherwise it could not be taken back.
  const all: Props['options'] = [...options, ...chosen.filter((value) => !options.some((option) => option.value === value)).map((value) => ({ value, count: 0 }))];
  const shown = all.filter((option) => labelOf(option).toLowerCase().includes(search.toLowerCase())).slice(0, SHOWN);
  return (
    <fieldset class="options">
      <legend class="sr">{label}</legend>
      {all.length > 8 && <input type="search" class="input" placeholder={t('search')} aria-label={t('searchIn', { name: label })} value={search} onInput={(event) => setSearch(event.currentTarget.value)} />}
      <div class="options-list">
        {shown.map(({ value, count, ...named }) => (
          <label class="option" key={value}>
            <input type="checkbox" checked={chosen.includes(value)} onChange={(event) => onChange(event.currentTarget.checked ? [...chosen, value] : chosen.filter((other) => other !== value))} />
            <span class="option-text">{labelOf({ value, ...named }) || t('none')}</span>
            {count !== undefined && <span class="option-count">{formatCount(count)}</span>}
          </label>
        ))}
        {shown.length === 0 && <p class="muted">{all.length === 0 ? t('noValues') : t('noMatch')}</p>}
      </div>
      {chosen.length > 0 && <button type="button" class="link" onClick={() => onChange([])}>{t('clear')}</button>}
    </fieldset>
  );
}
