// What a figure on the screen says, and whether a number would be written like that. Nothing here is the dashboard's: a text is read back into the
// numbers that it can stand for, which are as far apart as its last digit tells.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const number = (text) => Number(text.replaceAll(',', ''));
/** All numbers that are rounded to this text. */
const rounded = (text, unit = 1) => {
  const half = 0.5 * 10 ** -(text.split('.')[1]?.length ?? 0);
  return [(number(text) - half) * unit, (number(text) + half) * unit];
};
/** All numbers that are cut off to this one. */
const cut = (value, unit) => [value, value + unit];

/** How each unit is written: from the text, the least and the greatest number. */
const FORMS = {
  count: [
    [/^(\d{1,3}(?:,\d{3})*)$/, (whole) => rounded(whole)],
    [/^(\d+(?:\.\d+)?)([KMB])$/, (digits, unit) => rounded(digits, { K: 1e3, M: 1e6, B: 1e9 }[unit])],
  ],
  /** A mean of counts. */
  mean: [[/^(\d+\.\d)$/, (digits) => rounded(digits)]],
  /** 0 to 1. Little is not nothing, and nearly all is not all. */
  share: [
    [/^0%$/, () => [0, 0]],
    [/^<0\.1%$/, () => [Number.MIN_VALUE, 0.001]],
    [/^>99%$/, () => [0.995, 1 - 1e-8]],
    [/^(\d\.\d|\d{2,})%$/, (digits) => rounded(digits, 0.01)],
  ],
  /** Milliseconds. */
  duration: [
    [/^0 ms$/, () => [0, 0]],
    [/^(\d\.\d|\d{2,3}) ms$/, (digits) => rounded(digits)],
    [/^(\d\.\d\d|\d\d\.\d) s$/, (digits) => rounded(digits, SECOND)],
    [/^(\d+) min (\d\d) s$/, (minutes, seconds) => rounded(String(minutes * 60 + Number(seconds)), SECOND)],
    [/^(\d+) h (\d\d) min$/, (hours, minutes) => cut(hours * HOUR + minutes * MINUTE - SECOND / 2, MINUTE)],
    [/^(\d+) d (\d+) h$/, (days, hours) => cut(days * DAY + hours * HOUR - SECOND / 2, HOUR)],
  ],
  /** How long ago, milliseconds. Pages look at the clock now and then. */
  age: [[/^(\d+) (s|min|h|d) ago$/, (n, unit) => {
    const length = { s: SECOND, min: MINUTE, h: HOUR, d: DAY }[unit];
    return [n * length - MINUTE, (Number(n) + 1) * length + MINUTE];
  }]],
  /** Of CLS. */
  score: [[/^(\d\.\d{3})$/, (digits) => rounded(digits)]],
  bytes: [
    [/^(\d+) B$/, (digits) => rounded(digits)],
    [/^(\d+(?:\.\d)?) ([KMG])iB$/, (digits, unit) => rounded(digits, { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit])],
  ],
};

/** The least and the greatest number that are written like this; `null` for what is not written so at all. */
export function read(text, unit) {
  for (const [form, range] of FORMS[unit]) {
    const found = form.exec(text);
    if (found) return range(...found.slice(1));
  }
  return null;
}

/** Whether the text says this number; where there is none, that there is none. */
export function says(text, value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return text === '–';
  const range = read(text, unit);
  // What computers add up differs in the last of sixteen digits.
  const slack = Math.abs(value) * 1e-9;
  return range !== null && range[0] - slack <= value && value <= range[1] + slack;
}

/** Whether a text like `+12%` or `2.4×` says how the value differs from the one before; there is none when there was nothing before. */
export function saysChange(text, value, before) {
  if (value === null || !before) return text === null;
  if (text === null) return false;
  const change = value / before - 1;
  if (text === '±0%') return Math.abs(change) <= 0.005;
  if (text === '>10×') return change > 9;
  const [, times] = /^(\d\.\d|\d\d\.\d)×$/.exec(text) ?? [];
  if (times) return change > 1 && rounded(times)[0] <= change + 1 && change + 1 <= rounded(times)[1];
  const [, sign, share] = /^([+−])(.+)$/.exec(text) ?? [];
  return sign === (change > 0 ? '+' : '−') && says(share, Math.abs(change), 'share');
}

/** Times as they are written in a zone: with date and seconds, whole, by the hour, by the day. */
export function clock(timeZone) {
  const format = (options) => {
    const made = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', ...options });
    return (time) => made.format(time);
  };
  const date = { month: 'short', day: 'numeric' };
  const minute = { hour: '2-digit', minute: '2-digit' };
  return {
    second: format({ ...date, ...minute, second: '2-digit' }),
    whole: format({ year: 'numeric', ...date, ...minute, second: '2-digit', fractionalSecondDigits: 3, timeZoneName: 'short' }),
    hour: format({ ...date, ...minute }),
    day: format(date),
    weekday: format({ weekday: 'short', ...date }),
    year: format({ year: 'numeric', ...date }),
  };
}
