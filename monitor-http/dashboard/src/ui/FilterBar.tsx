import { useState } from 'preact/hooks';
import { ask } from '../api/client.ts';
import { filterOptions } from '../api/queries/common.ts';
import { countOf, rowsOf, textOf } from '../api/table.ts';
import { fieldLabel, t } from '../i18n/frame.ts';
import { rangeKey, windowOf } from '../lib/range.ts';
import { change, project, view } from '../state/store.ts';
import { useResource } from '../state/use-resource.ts';
import { FILTER_FIELDS, NO_FILTERS, filteredFields, hasFilters, withFilter, type AnyField, type CustomField, type FilterField } from '../state/url.ts';
import { ErrorNote, Skeleton } from './bits.tsx';
import { Icon } from './Icon.tsx';
import { Options } from './MultiSelect.tsx';
import { Popover } from './Popover.tsx';

const set = (field: AnyField, values: string[]) => change({ filters: withFilter(view.peek().filters, field, values) });

/** What every page is filtered by; what only some pages can filter by is shown as chips, to be taken away. */
export function FilterBar() {
  const [open, setOpen] = useState(false);
  const { filters } = view.value;
  const fields = filteredFields(filters);
  const others = fields.filter((field) => !(FILTER_FIELDS as readonly string[]).includes(field));
  return (
    <div class="filter-bar" role="group" aria-label={t('filters')}>
      <button type="button" class={`button filter-toggle ${fields.length ? 'button-active' : ''}`} aria-expanded={open} onClick={() => setOpen(!open)}><Icon name="filter" />{t('filters')}{fields.length > 0 && ` (${fields.length})`}</button>
      <div class={`filters ${open ? 'filters-open' : ''}`}>
        {FILTER_FIELDS.map((field) => <FieldFilter key={field} field={field} chosen={filters[field]} />)}
        <CustomFilter />
        {others.map((field) => <Chip key={field} field={field} values={filters[field] ?? []} />)}
        {hasFilters(filters) && <button type="button" class="link" onClick={() => change({ filters: NO_FILTERS })}>{t('clearAll')}</button>}
      </div>
    </div>
  );
}

function FieldFilter({ field, chosen }: { field: FilterField; chosen: string[] }) {
  const label = fieldLabel(field);
  const text = chosen.length === 0 ? label : chosen.length === 1 ? `${label}: ${chosen[0] || t('none')}` : `${label}: ${chosen.length}`;
  return (
    <Popover label={<span class="clip">{text}</span>} active={chosen.length > 0}>
      {() => <FieldOptions field={field} label={label} chosen={chosen} />}
    </Popover>
  );
}

/** Asked for when it is opened, and only then. */
function FieldOptions({ field, label, chosen }: { field: FilterField; label: string; chosen: string[] }) {
  const id = project.value?.id ?? '';
  const { range } = view.value;
  const { data, error, reload } = useResource(JSON.stringify(['options', id, field, rangeKey(range)]), async (signal) =>
    rowsOf(await ask(filterOptions(id, windowOf(range, Date.now()), field), signal)).map((row) => ({ value: textOf(row, field), count: countOf(row, 'count') })), 0, true);
  if (!data) return error ? <ErrorNote error={error} retry={reload} /> : <div class="options-loading"><Skeleton height={120} /></div>;
  return <Options label={label} options={data} chosen={chosen} onChange={(values) => set(field, values)} />;
}

function Chip({ field, values }: { field: AnyField; values: string[] }) {
  const label = fieldLabel(field);
  return (
    <span class="chip" title={`${field}: ${values.join(', ')}`}><span class="chip-name">{label}</span><span class="clip">{values.map((value) => value || t('none')).join(', ')}</span>
      <button type="button" aria-label={t('removeFilter', { name: label })} onClick={() => set(field, [])}><Icon name="close" /></button>
    </span>
  );
}

/** By an attribute or a tag, whatever the application calls them. */
function CustomFilter() {
  return <Popover label={<><Icon name="plus" /><span>{t('attribute')}</span></>}>{(close) => <CustomForm close={close} />}</Popover>;
}

function CustomForm({ close }: { close(): void }) {
  const [place, setPlace] = useState<'attributes' | 'tags'>('attributes');
  const [name, setName] = useState('');
  const [value, setValue] = useState('');
  const values = value.split(',').map((text) => text.trim()).filter(Boolean);
  const valid = name.trim() !== '' && name.trim().length <= 200 && values.length > 0;
  return (
    <form class="custom-filter" onSubmit={(event) => {
      event.preventDefault();
      if (!valid) return;
      set(`${place}.${name.trim()}` as CustomField, values);
      close();
    }}>
      <label class="field">{t('attributeKind')}<select class="select" value={place} onChange={(event) => setPlace(event.currentTarget.value as typeof place)}><option value="attributes">{t('attributes')}</option><option value="tags">{t('tags')}</option></select></label>
      <label class="field">{t('attributeName')}<input class="input" value={name} autofocus autocomplete="off" spellcheck={false} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label class="field">{t('attributeValue')}<input class="input" value={value} autocomplete="off" spellcheck={false} onInput={(event) => setValue(event.currentTarget.value)} /></label>
      <p class="muted hint">{t('attributeHint')}</p>
      <button type="submit" class="button button-primary" disabled={!valid}>{t('apply')}</button>
    </form>
  );
}
