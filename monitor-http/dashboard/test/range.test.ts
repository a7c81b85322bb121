import { expect, it } from 'vitest';
import { PRESETS, earlier, isPartial, refreshEvery, stepFor, stepsOf, windowOf, type Preset } from '../src/lib/range.ts';

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

it('a fixed range is asked for exactly', () => {
  expect(windowOf({ from: 1_000_500, to: 1_060_000 }, NOW)).toMatchObject({ from: 1_000_500, to: 1_060_000 });
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
