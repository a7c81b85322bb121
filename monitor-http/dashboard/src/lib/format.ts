// How numbers and times are written: as the viewer's language writes them, in the viewer's time zone.

import { locale, messages } from '../i18n/index.ts';

/** What is shown where there is no value. */
export const NO_VALUE = '–';

const t = messages({
  minutes: ['{m} min {s} s', '{m} 分 {s} 秒'],
  hours: ['{h} h {m} min', '{h} 小时 {m} 分'],
  days: ['{d} d {h} h', '{d} 天 {h} 小时'],
  now: ['just now', '刚刚'],
  secondsAgo: ['{n} s ago', '{n} 秒前'],
  minutesAgo: ['{n} min ago', '{n} 分钟前'],
  hoursAgo: ['{n} h ago', '{n} 小时前'],
  daysAgo: ['{n} d ago', '{n} 天前'],
});

/** Makes `create`'s formatter once for each language. */
function perLanguage<T>(create: (locale: string) => T): () => T {
  const made = new Map<string, T>();
  return () => {
    const name = locale();
    let format = made.get(name);
    if (format === undefined) made.set(name, (format = create(name)));
    return format;
  };
}

const whole = perLanguage((name) => new Intl.NumberFormat(name, { maximumFractionDigits: 0 }));
const compact = perLanguage((name) => new Intl.NumberFormat(name, { notation: 'compact', maximumSignificantDigits: 3 }));
const fixed = [0, 1, 2, 3].map((digits) => perLanguage((name) => new Intl.NumberFormat(name, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false })));

const digits = (value: number, count: 0 | 1 | 2 | 3): string => fixed[count]!().format(value);

/** `12,345`; from a million on `1.23M`. */
export function formatCount(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NO_VALUE;
  return Math.abs(value) < 1_000_000 ? whole().format(value) : compact().format(value);
}

/** For axes: `850`, `12K`, `1.5M`. */
export function formatCompact(value: number): string {
  return compact().format(value);
}

/** Milliseconds in the unit one would say: `0.4 ms`, `231 ms`, `2.31 s`, `3 min 05 s`. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return NO_VALUE;
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms === 0) return '0 ms';
  if (ms < 9.95) return `${digits(ms, 1)} ms`;
  if (ms < 999.5) return `${digits(ms, 0)} ms`;
  if (ms < 9_995) return `${digits(ms / 1000, 2)} s`;
  if (ms < 59_950) return `${digits(ms / 1000, 1)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3600) return t('minutes', { m: String(Math.floor(seconds / 60)), s: two(seconds % 60) });
  const hours = Math.floor(seconds / 3600);
  if (hours < 48) return t('hours', { h: String(hours), m: two(Math.floor((seconds % 3600) / 60)) });
  return t('days', { d: formatCount(Math.floor(hours / 24)), h: String(hours % 24) });
}

/** For axes: as short as the step between the labels allows, `500 ms`, `1.5 s`. */
export function formatDurationTick(ms: number): string {
  if (ms < 1000) return `${formatCompact(ms)} ms`;
  return ms < 60_000 ? `${formatCompact(ms / 1000)} s` : formatDuration(ms);
}

/** CLS is a score, every other web vital a duration. */
export function formatVital(name: string, value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NO_VALUE;
  return name === 'CLS' ? digits(value, value >= 10 ? 1 : 3) : formatDuration(value);
}

/** A share of 0 to 1. Never rounds a little to nothing, nor nearly all to all. */
export function formatPercent(share: number | null | undefined): string {
  if (share == null || !Number.isFinite(share)) return NO_VALUE;
  const percent = share * 100;
  if (percent === 0) return '0%';
  if (percent < 0.1) return '<0.1%';
  if (percent < 9.95) return `${digits(percent, 1)}%`;
  if (percent < 100 && percent > 99.5) return '>99%';
  return `${whole().format(percent)}%`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `812 B`, `1.4 MiB`. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes == null || !Number.isFinite(bytes)) return NO_VALUE;
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || Math.abs(value) >= 99.5 ? whole().format(value) : digits(value, 1)} ${UNITS[unit]}`;
}

/** `+12%` or `2.4×` against the value before; `null` when there was nothing then. */
export function formatChange(value: number | null, before: number | null | undefined): string | null {
  if (value === null || !before) return null;
  const change = value / before - 1;
  if (Math.abs(change) < 0.005) return '±0%';
  if (change > 9) return '>10×';
  if (change > 1) return `${digits(change + 1, 1)}×`;
  return `${change > 0 ? '+' : '−'}${formatPercent(Math.abs(change))}`;
}

/** `null` when there is nothing to divide by: no rate is not a rate of zero. */
export function ratio(part: number | null | undefined, total: number | null | undefined): number | null {
  return total ? (part ?? 0) / total : null;
}

const dates = (options: Intl.DateTimeFormatOptions) => {
  const format = perLanguage((name) => new Intl.DateTimeFormat(name, options));
  return (time: number | null | undefined): string =>
    // Beyond ±8.64e15 ms there is no date, and formatting one throws.
    time == null || !(Math.abs(time) <= 8.64e15) ? NO_VALUE : format().format(time);
};

export const formatDateTime = dates({ month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
export const formatDateTimeFull = dates({
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23', timeZoneName: 'short',
});
export const formatTime = dates({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
export const formatDate = dates({ year: 'numeric', month: 'short', day: 'numeric' });
/** A day of UTC: where the viewer is, it begins at another hour and perhaps on another date. */
export const formatDayOfUtc = dates({ month: 'short', day: 'numeric', timeZone: 'UTC' });
const hourMinute = dates({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayHour = dates({ month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const weekdayOfUtc = dates({ weekday: 'short', month: 'short', day: 'numeric', timeZone: 'UTC' });

const DAY = 86_400_000;

/*
 * Steps of days begin at midnight of the zone that was asked with, over the whole range. Beyond a change of clocks the viewer's own midnight is
 * an hour off: read in the viewer's zone such a step could begin at 23:00 and be called by the day before. `zone` is that of the window.
 */

/** The label of a step on a time axis: as precise as the step needs, no more. */
export function formatStep(time: number, step: number, zone: number): string {
  if (step < 60_000) return formatTime(time);
  if (step < 3_600_000) return hourMinute(time);
  return step < DAY ? dayHour(time) : formatDayOfUtc(time + zone);
}

/** The whole step, in the tooltip and in tables. */
export function formatStepFull(time: number, step: number, zone: number): string {
  if (step < 60_000) return formatDateTime(time);
  return step < DAY ? dayHour(time) : weekdayOfUtc(time + zone);
}

/** The step in a file: the moment that it begins, or the date of its day. */
export function stepInFile(time: number, step: number, zone: number): string {
  return step < DAY ? new Date(time).toISOString() : new Date(time + zone).toISOString().replace(/T.*/, '');
}

/** `12 s ago`; a clock that runs ahead of the server's gives `just now`, never a negative age. */
export function formatAgo(time: number | null | undefined, now: number): string {
  if (time == null || !Number.isFinite(time)) return NO_VALUE;
  const seconds = Math.floor((now - time) / 1000);
  if (seconds < 5) return t('now');
  if (seconds < 60) return t('secondsAgo', { n: seconds });
  if (seconds < 3600) return t('minutesAgo', { n: Math.floor(seconds / 60) });
  if (seconds < 86_400) return t('hoursAgo', { n: Math.floor(seconds / 3600) });
  return t('daysAgo', { n: Math.floor(seconds / 86_400) });
}
