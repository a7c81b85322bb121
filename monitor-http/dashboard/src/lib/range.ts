// Time ranges: presets that end now, or a fixed one. From the range follow the step of the charts and how often to refresh.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const PRESETS = { '15m': 15 * MINUTE, '1h': HOUR, '6h': 6 * HOUR, '24h': DAY, '7d': 7 * DAY, '30d': 30 * DAY } as const;
export type Preset = keyof typeof PRESETS;
export type Range = { preset: Preset } | { from: number; to: number };

/** Half open `[from, to)`, ms since the epoch; `from` lies on a step. */
export interface TimeWindow {
  from: number;
  to: number;
  step: number;
}

const STEPS = [
  1_000, 5_000, 15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE,
  HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY,
];

export function isPreset(text: string): text is Preset {
  return Object.hasOwn(PRESETS, text);
}

/** The smallest round step that cuts `length` ms into at most `points` pieces. */
export function stepFor(length: number, points = 72): number {
  return STEPS.find((step) => length / step <= points) ?? Math.ceil(length / points / DAY) * DAY;
}

export function rangeLength(range: Range): number {
  return 'preset' in range ? PRESETS[range.preset] : range.to - range.from;
}

/** The window to ask for at `now`. It begins on a step, so that the first bar of a chart is a whole one. */
export function windowOf(range: Range, now: number): TimeWindow {
  const step = stepFor(rangeLength(range));
  const to = 'preset' in range ? now : range.to;
  const from = 'preset' in range ? Math.floor((to - PRESETS[range.preset]) / step) * step : range.from;
  return { from, to, step };
}

/** Whether the last step of the window is still running. */
export function isPartial(window: TimeWindow): boolean {
  return window.to % window.step !== 0;
}

/** How often to ask again, in ms; 0 for a fixed range, which does not change. */
export function refreshEvery(range: Range): number {
  if (!('preset' in range)) return 0;
  const length = PRESETS[range.preset];
  if (length <= HOUR) return 5_000;
  return length <= DAY ? 30_000 : 300_000;
}

export function rangeKey(range: Range): string {
  return 'preset' in range ? range.preset : `${range.from}-${range.to}`;
}

/** Every step of the window, as the server names them: multiples of the step since the epoch. */
export function stepsOf(window: TimeWindow): number[] {
  const times: number[] = [];
  for (let time = Math.floor(window.from / window.step) * window.step; time < window.to; time += window.step) times.push(time);
  return times;
}
