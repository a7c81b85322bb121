import { afterEach, describe, expect, it } from 'vitest';
import { language, messages } from '../src/i18n/index.ts';
import { VITALS, bandOf, vitalByName } from '../src/lib/bands.ts';
import { formatAgo, formatBytes, formatChange, formatCount, formatDateTime, formatDuration, formatPercent, formatStep, formatVital, ratio } from '../src/lib/format.ts';
import { safeUrl } from '../src/lib/safe-url.ts';

afterEach(() => { language.value = 'en'; });

it('everything is written in the language of the viewer', () => {
  language.value = 'zh';
  expect([formatCount(1_234_567), formatDuration(185_000), formatAgo(0, 59_000)]).toEqual(['123万', '3 分 05 秒', '59 秒前']);
});

it('texts take numbers as the language writes them, and the word that goes with the number', () => {
  const t = messages({ found: ['{n} {n|error|errors} in {where}', '{where} 有 {n} 个错误'] });
  expect([t('found', { n: 1, where: 'a' }), t('found', { n: 1200, where: '{n}' })]).toEqual(['1 error in a', '1,200 errors in {n}']);
  language.value = 'zh';
  expect(t('found', { n: 1200, where: 'a' })).toBe('a 有 1,200 个错误');
});

it('bytes have the unit one would say', () => {
  expect([0, 812, 1536, 1_048_576, 5e12].map(formatBytes)).toEqual(['0 B', '812 B', '1.5 KiB', '1.0 MiB', '4.5 TiB']);
});

it('a change is told against what was before, and not told when there was nothing', () => {
  expect([[112, 100], [88, 100], [100.2, 100], [250, 100], [2000, 100]].map(([value, before]) => formatChange(value!, before))).toEqual(['+12%', '−12%', '±0%', '2.5×', '>10×']);
  expect([formatChange(5, 0), formatChange(5, null), formatChange(null, 5)]).toEqual([null, null, null]);
});

it('counts have thousands, and from a million on three digits', () => {
  expect([0, 7, 1234, 999_999, 1_234_567, 2_500_000_000].map(formatCount)).toEqual(['0', '7', '1,234', '999,999', '1.23M', '2.5B']);
});

it('durations have the unit one would say', () => {
  expect([0, 0.42, 9.96, 231.4, 999.6, 2311.2, 9996, 12_345, 59_960, 185_000, 3_725_000].map(formatDuration))
    .toEqual(['0 ms', '0.4 ms', '10 ms', '231 ms', '1.00 s', '2.31 s', '10.0 s', '12.3 s', '1 min 00 s', '3 min 05 s', '1 h 02 min']);
});

it('shares never round a little to nothing nor nearly all to all', () => {
  expect([0, 0.0004, 0.004, 0.0949, 0.12, 0.996, 1, 1.3].map(formatPercent)).toEqual(['0%', '<0.1%', '0.4%', '9.5%', '12%', '>99%', '100%', '130%']);
});

it('what is not known is a dash, never a zero', () => {
  for (const format of [formatCount, formatDuration, formatPercent, formatDateTime, (value: null) => formatVital('LCP', value), (value: null) => formatAgo(value, 0)]) expect(format(null)).toBe('–');
  expect(formatCount(Number.NaN)).toBe('–');
  expect(formatDateTime(9e15)).toBe('–');
  expect(formatDateTime(Number.NaN)).toBe('–');
  expect(formatStep(Number.POSITIVE_INFINITY, 1000, 0)).toBe('–');
});

it('CLS is a score, the other vitals are durations', () => {
  expect(formatVital('CLS', 0.0823)).toBe('0.082');
  expect(formatVital('LCP', 2311.2)).toBe('2.31 s');
});

it('there is no rate of nothing', () => {
  expect(ratio(0, 0)).toBeNull();
  expect(ratio(3, null)).toBeNull();
  expect(ratio(3, 12)).toBe(0.25);
  expect(ratio(null, 12)).toBe(0);
});

it('ages are rounded down and never negative', () => {
  const now = 1_732_096_800_000;
  expect([-60_000, 3_000, 59_000, 3_599_000, 86_399_000, 86_400_000 * 3].map((age) => formatAgo(now - age, now))).toEqual(['just now', 'just now', '59 s ago', '59 min ago', '23 h ago', '3 d ago']);
});

describe('bands', () => {
  it.each([
    ['LCP', 2500, 'good'], ['LCP', 2500.1, 'needs-improvement'], ['LCP', 4000, 'needs-improvement'], ['LCP', 4000.1, 'poor'],
    ['CLS', 0.1, 'good'], ['CLS', 0.25, 'needs-improvement'], ['CLS', 0.26, 'poor'], ['INP', 200, 'good'], ['INP', 501, 'poor'],
    ['FCP', 1800, 'good'], ['FCP', 3001, 'poor'], ['TTFB', 800, 'good'], ['TTFB', 1801, 'poor'],
  ])('%s of %d is %s', (name, value, band) => expect(bandOf(vitalByName(name)!, value)).toBe(band));

  it('there are five vitals and no other', () => {
    expect(VITALS).toHaveLength(5);
    expect(vitalByName('TTI')).toBeUndefined();
  });
});

describe('links', () => {
  it.each(['javascript:alert(1)', ' javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'blob:https://a.example/1', '//a.example', '/cart', '', 'x'])('%j is not linked', (text) => {
    expect(safeUrl(text)).toBeNull();
  });

  it('http and https are', () => {
    expect(safeUrl('https://shop.example/a b?x="><b>')).toBe('https://shop.example/a%20b?x=%22%3E%3Cb%3E');
    expect(safeUrl('HTTP://shop.example')).toBe('http://shop.example/');
  });
});
