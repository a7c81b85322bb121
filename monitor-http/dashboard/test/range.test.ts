import { expect, it } from 'vitest';
import { PRESETS, refreshEvery, stepFor, stepsOf, windowOf, type Preset } from '../src/lib/range.ts';

const NOW = 1_732_096_812_345;

it.each(Object.keys(PRESETS) as Preset[])('%s ends now, begins on a step and has between 30 and 73 steps', (preset) => {
  const window = windowOf({ preset }, NOW);
  expect(window.to).toBe(NOW);
  expect(window.from % window.step).toBe(0);
  expect(NOW - window.from).toBeGreaterThanOrEqual(PRESETS[preset]);
  expect(NOW - window.from).toBeLessThan(PRESETS[preset] + window.step);
  expect(stepsOf(window).length).toBeGreaterThanOrEqual(30);
  expect(stepsOf(window).length).toBeLessThanOrEqual(73);
});

it('a fixed range is asked for exactly', () => {
  expect(windowOf({ from: 1_000_500, to: 1_060_000 }, NOW)).toMatchObject({ from: 1_000_500, to: 1_060_000 });
});

it('steps are named as the server names them, the one that holds the start included', () => {
  expect(stepsOf({ from: 1_500, to: 4_000, step: 1_000 })).toEqual([1_000, 2_000, 3_000]);
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
