import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatStep, formatStepFull, stepInFile } from '../src/lib/format.ts';
import { PRESETS, earlier, isPartial, refreshEvery, stepFor, stepsOf, windowOf, zoneAt, type Preset } from '../src/lib/range.ts';

const NOW = 1_732_096_812_345;

it.each(Object.keys(PRESETS) as Preset[])('%s ends now, begins on a step and has between 24 and 92 steps', (preset) => {
  const window = windowOf({ preset }, NOW, 0);
  expect(window.to).toBe(NOW);
  expect(window.from % window.step).toBe(0);
  expect(NOW - window.from).toBeGreaterThanOrEqual(PRESETS[preset]);
  expect(NOW - window.from).toBeLessThan(PRESETS[preset] + window.step);
  expect(stepsOf(window).length).toBeGreaterThanOrEqual(24);
  expect(stepsOf(window).length).toBeLessThanOrEqual(92);
});

const HOUR = 3_600_000;

it('days begin at midnight where the viewer is', () => {
  const zone = 5.5 * HOUR;
  const window = windowOf({ preset: '30d' }, NOW, zone);
  expect(window.step).toBe(24 * HOUR);
  for (const time of stepsOf(window)) expect((time + zone) % (24 * HOUR)).toBe(0);
  expect(window.from).toBe(stepsOf(window)[0]);
  expect(isPartial(window)).toBe(true);
  expect(isPartial({ ...window, to: window.from + 48 * HOUR })).toBe(false);
});

describe('what ends now begins', () => {
  afterEach(() => { vi.unstubAllEnvs(); });
  /** The window of somebody who lives there. */
  function windowIn(place: string, preset: Preset, now: string) {
    vi.stubEnv('TZ', place);
    return windowOf({ preset }, Date.parse(now));
  }
  const begin = ({ from }: { from: number }) => new Date(from).toISOString().replace(':00.000Z', '');
  const HOURLY = ['24h', '7d'] as const;
  const DAILY = ['30d', '90d'] as const;

  it('at whole hours and at midnight in Berlin', () => {
    const now = '2024-11-20T18:46:12+01:00';
    expect(HOURLY.map((preset) => begin(windowIn('Europe/Berlin', preset, now)))).toEqual(['2024-11-19T17:00', '2024-11-13T17:00']);
    expect(DAILY.map((preset) => begin(windowIn('Europe/Berlin', preset, now)))).toEqual(['2024-10-20T23:00', '2024-08-21T23:00']);
  });

  it.each([['Asia/Kolkata', '+05:30', '18:30'], ['Asia/Kathmandu', '+05:45', '18:15'], ['America/St_Johns', '-03:30', '03:30']])(
    'at whole hours of UTC in %s (%s), for steps of hours, and days at its midnight', (place, offset, midnight) => {
      const now = `2024-11-20T18:46:12${offset}`;
      for (const preset of HOURLY) {
        const window = windowIn(place, preset, now);
        expect(Number.isInteger(window.zone / HOUR)).toBe(true);
        for (const time of [window.from, ...stepsOf(window)]) expect(time % HOUR).toBe(0);
        expect(stepsOf(window)[0]).toBe(window.from);
        expect(Date.parse(now) - window.from).toBeGreaterThanOrEqual(PRESETS[preset]);
        expect(Date.parse(now) - window.from).toBeLessThan(PRESETS[preset] + window.step);
      }
      for (const preset of DAILY) {
        const window = windowIn(place, preset, now);
        expect(window.zone).toBe(zoneAt(Date.parse(now)));
        for (const time of [window.from, ...stepsOf(window)]) expect(new Date(time).toISOString().slice(11, 16)).toBe(midnight);
      }
    });

  it('at whole hours over a change of clocks, and days keep the midnight of today', () => {
    // Berlin left summer time on 27 October at 03:00.
    expect(begin(windowIn('Europe/Berlin', '24h', '2024-10-27T12:10:00+01:00'))).toBe('2024-10-26T11:00');
    const window = windowIn('Europe/Berlin', '30d', '2024-11-05T12:10:00+01:00');
    expect([zoneAt(window.from), window.zone]).toEqual([2 * HOUR, HOUR]);
    expect(begin(window)).toBe('2024-10-05T23:00');
    expect(stepsOf(window).length).toBe(31);
    for (const time of stepsOf(window)) expect((time + HOUR) % (24 * HOUR)).toBe(0);
  });

  // Sydney put its clocks on on 4 October 2026, Berlin back on 27 October 2024; Apia is a day ahead, and St. John's half an hour off.
  it.each([['Australia/Sydney', '2026-11-23T02:00:00Z'], ['Australia/Sydney', '2026-05-20T02:00:00Z'], ['Europe/Berlin', '2024-11-20T12:00:00Z'], ['Europe/Berlin', '2025-05-20T12:00:00Z'], ['America/St_Johns', '2026-11-23T02:00:00Z'], ['Pacific/Apia', '2026-11-23T02:00:00Z']])(
    'at days that are called by what they cover, in %s on %s', (place, now) => {
      const window = windowIn(place, '90d', now);
      const times = stepsOf(window);
      const named = (time: number) => formatStep(time, window.step, window.zone);
      expect(new Set(times.map(named)).size).toBe(times.length);
      for (const [index, time] of times.entries()) {
        // Noon is within the day whatever the clocks did.
        const noon = new Intl.DateTimeFormat('en-US', { timeZone: place, month: 'short', day: 'numeric' }).format(time + 12 * HOUR);
        expect(named(time)).toBe(noon);
        expect(formatStepFull(time, window.step, window.zone)).toMatch(new RegExp(`, ${noon}$`));
        const file = stepInFile(time, window.step, window.zone);
        expect(new Date(file).toLocaleDateString('en-US', { timeZone: 'UTC', month: 'short', day: 'numeric' })).toBe(noon);
        if (index > 0) expect(Date.parse(file) - Date.parse(stepInFile(times[index - 1]!, window.step, window.zone))).toBe(24 * HOUR);
      }
    });

  it('at a step of minutes when it is short', () => {
    expect((['15m', '1h', '6h'] as const).map((preset) => begin(windowIn('Asia/Kathmandu', preset, '2024-11-20T18:46:12+05:45')))).toEqual(['2024-11-20T12:46', '2024-11-20T12:01', '2024-11-20T07:00']);
  });
});

it('the window before is whole steps earlier, and there is none before 1970', () => {
  for (const preset of Object.keys(PRESETS) as Preset[]) {
    const window = windowOf({ preset }, NOW, 0);
    const then = earlier(window)!;
    expect(window.from - then.from).toBe(PRESETS[preset]);
    expect(window.to - then.to).toBe(PRESETS[preset]);
  }
  expect(earlier({ from: 10, to: 30, step: 1, zone: 0 })).toBeNull();
});

it('from a day on steps are whole hours, from three weeks on whole days: what the service keeps worked out', () => {
  for (const preset of ['24h', '7d', '30d', '90d'] as const) expect(windowOf({ preset }, NOW, 0).step % HOUR).toBe(0);
  for (const preset of ['30d', '90d'] as const) expect(windowOf({ preset }, NOW, 0).step % (24 * HOUR)).toBe(0);
});

it('a fixed range is asked for exactly, its steps those of the viewer', () => {
  expect(windowOf({ from: 1_000_500, to: 1_060_000 }, NOW)).toMatchObject({ from: 1_000_500, to: 1_060_000 });
  const days = { from: NOW - 40 * HOUR, to: NOW };
  expect(windowOf(days, NOW, 5.5 * HOUR)).toEqual({ ...days, step: HOUR, zone: 5.5 * HOUR });
});

it('steps are named as the server names them, the one that holds the start included', () => {
  expect(stepsOf({ from: 1_500, to: 4_000, step: 1_000, zone: 0 })).toEqual([1_000, 2_000, 3_000]);
});

it('years do not make thousands of steps', () => {
  expect((20 * 365 * 86_400_000) / stepFor(20 * 365 * 86_400_000)).toBeLessThanOrEqual(122);
  expect(8.64e15 / stepFor(8.64e15)).toBeLessThanOrEqual(73);
});

it('only what ends now is refreshed, short ranges every five seconds', () => {
  expect(refreshEvery({ preset: '15m' })).toBe(5_000);
  expect(refreshEvery({ preset: '1h' })).toBe(5_000);
  expect(refreshEvery({ preset: '6h' })).toBe(30_000);
  expect(refreshEvery({ preset: '30d' })).toBe(300_000);
  expect(refreshEvery({ from: 0, to: 1 })).toBe(0);
});
