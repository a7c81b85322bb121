import { useState } from 'preact/hooks';
import { MAX_RANGE } from '../api/queries/common.ts';
import { t } from '../i18n/frame.ts';
import { formatDateTime } from '../lib/format.ts';
import { PRESETS, isPreset, type Range } from '../lib/range.ts';
import { change, view } from '../state/store.ts';
import { Segments } from './bits.tsx';
import { Popover } from './Popover.tsx';

const PRESET_OPTIONS = (Object.keys(PRESETS) as (keyof typeof PRESETS)[]).map((value) => ({ value: value as string, label: value }));

export function RangePicker() {
  const { range } = view.value;
  const chosen = 'preset' in range ? range.preset : '';
  return (
    <div class="range">
      <Segments label={t('timeRange')} options={PRESET_OPTIONS} value={chosen} onChange={(value) => { if (isPreset(value)) change({ range: { preset: value } }); }} />
      <Popover active={chosen === ''} label={<span>{'preset' in range ? t('custom') : `${formatDateTime(range.from)} – ${formatDateTime(range.to)}`}</span>}>
        {(close) => <CustomRange range={range} close={close} />}
      </Popover>
    </div>
  );
}

function CustomRange({ range, close }: { range: Range; close(): void }) {
  const shown = 'preset' in range ? { from: Date.now() - PRESETS[range.preset], to: Date.now() } : range;
  const [from, setFrom] = useState(localText(shown.from));
  const [to, setTo] = useState(localText(shown.to));
  const [start, end] = [new Date(from).getTime(), new Date(to).getTime()];
  const problem = !(start < end) ? t('rangeReversed') : end - start > MAX_RANGE ? t('rangeLong') : '';
  const valid = problem === '';
  return (
    <form class="custom-range" onSubmit={(event) => {
      event.preventDefault();
      if (!valid) return;
      change({ range: { from: start, to: end } });
      close();
    }}>
      <label>{t('from')}<input class="input" type="datetime-local" value={from} onInput={(event) => setFrom(event.currentTarget.value)} /></label>
      <label>{t('to')}<input class="input" type="datetime-local" value={to} onInput={(event) => setTo(event.currentTarget.value)} /></label>
      {problem && <p class="field-error" role="alert">{problem}</p>}
      <button type="submit" class="button button-primary" disabled={!valid}>{t('apply')}</button>
    </form>
  );
}

/** `2026-01-31T13:45` in the viewer's zone: what `datetime-local` takes. */
function localText(time: number): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}
