// How numbers and times are written. The interface is English, so the locale is fixed; the time zone is the viewer's.

const LOCALE = 'en-US';
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(LOCALE, { notation: 'compact', maximumSignificantDigits: 3 });

/** What is shown where there is no value. */
export const NO_VALUE = '–';

/** `12,345`; from a million on `1.23M`. */
export function formatCount(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NO_VALUE;
  return Math.abs(value) < 1_000_000 ? whole.format(value) : compact.format(value);
}

/** For axes: `850`, `12K`, `1.5M`. */
export function formatCompact(value: number): string {
  return compact.format(value);
}

/** Milliseconds in the unit one would say: `0.4 ms`, `231 ms`, `2.31 s`, `3 min 05 s`. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return NO_VALUE;
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms === 0) return '0 ms';
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')} min`;
}

/** CLS is a score, every other web vital a duration. */
export function formatVital(name: string, value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NO_VALUE;
  return name === 'CLS' ? value.toFixed(3) : formatDuration(value);
}

/** A share of 0 to 1. Never rounds a little to nothing, nor nearly all to all. */
export function formatPercent(share: number | null | undefined): string {
  if (share == null || !Number.isFinite(share)) return NO_VALUE;
  const percent = share * 100;
  if (percent === 0) return '0%';
  if (percent < 0.1) return '<0.1%';
  if (percent < 9.95) return `${percent.toFixed(1)}%`;
  if (percent < 100 && percent > 99.5) return '>99%';
  return `${whole.format(percent)}%`;
}

/** `null` when there is nothing to divide by: no rate is not a rate of zero. */
export function ratio(part: number | null | undefined, total: number | null | undefined): number | null {
  return total ? (part ?? 0) / total : null;
}

const dateTime = new Intl.DateTimeFormat(LOCALE, {
  month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const dateTimeFull = new Intl.DateTimeFormat(LOCALE, {
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
  fractionalSecondDigits: 3, hourCycle: 'h23', timeZoneName: 'short',
});
const timeOnly = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const hourMinute = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayOnly = new Intl.DateTimeFormat(LOCALE, { month: 'short', day: 'numeric' });
const dayHour = new Intl.DateTimeFormat(LOCALE, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

const dated = (format: Intl.DateTimeFormat, time: number | null | undefined): string =>
  // Beyond ±8.64e15 ms there is no date, and formatting one throws.
  time == null || !(Math.abs(time) <= 8.64e15) ? NO_VALUE : format.format(time);

export const formatDateTime = (time: number | null | undefined): string => dated(dateTime, time);
export const formatDateTimeFull = (time: number | null | undefined): string => dated(dateTimeFull, time);
export const formatTime = (time: number | null | undefined): string => dated(timeOnly, time);

/** The label of a step on a time axis: as precise as the step needs, no more. */
export function formatStep(time: number, step: number): string {
  if (step < 60_000) return dated(timeOnly, time);
  if (step < 3_600_000) return dated(hourMinute, time);
  return step < 86_400_000 ? dated(dayHour, time) : dated(dayOnly, time);
}

/** `12 s ago`; a clock that runs ahead of the server's gives `just now`, never a negative age. */
export function formatAgo(time: number | null | undefined, now: number): string {
  if (time == null || !Number.isFinite(time)) return NO_VALUE;
  const seconds = Math.floor((now - time) / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
