// Time ranges: presets that end now, or a fixed one. From the range follow the step of the charts and how often to refresh.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const PRESETS = { '15m': 15 * MINUTE, '1h': HOUR, '6h': 6 * HOUR, '24h': DAY, '7d': 7 * DAY, '30d': 30 * DAY, '90d': 90 * DAY } as const;
export type Preset = keyof typeof PRESETS;
export type Range = { preset: Preset } | { from: number; to: number };

/** Half open `[from, to)`, ms since the epoch; `from` lies on a step. */
export interface TimeWindow {
  from: number;
  to: number;
  step: number;
  /** How far the zone of the steps is ahead of UTC, ms: they begin at its midnight, and days are those of the viewer. */
  zone: number;
}

// Whole hours and days from a day on: those the service keeps worked out.
const STEPS = [1_000, 5_000, 15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY];

export function isPreset(text: string): text is Preset {
  return Object.hasOwn(PRESETS, text);
}

/** The smallest round step that cuts `length` ms into at most `points` pieces: hours for a day, days for a month. */
export function stepFor(length: number, points = 72): number {
  const least = length >= 21 * DAY ? DAY : length >= DAY ? HOUR : 0;
  return STEPS.find((step) => step >= least && length / step <= points) ?? Math.ceil(length / points / DAY) * DAY;
}

export function rangeLength(range: Range): number {
  return 'preset' in range ? PRESETS[range.preset] : range.to - range.from;
}

/** The offset of the viewer's zone at that time; a range over a change of clocks keeps that of its end, also in the names of its days. */
export function zoneAt(time: number): number {
  return -new Date(time).getTimezoneOffset() * MINUTE;
}

const floor = (time: number, step: number, zone: number) => Math.floor((time + zone) / step) * step - zone;

/**
 * The window to ask for at `now`. What ends now begins on a step, so that the first bar of a chart is a whole one, and that from a day on
 * the service finds all of it but the present hour among the hours it keeps worked out. What was typed is asked for as it was typed.
 */
export function windowOf(range: Range, now: number, zone = zoneAt('preset' in range ? now : Math.min(range.to, 8.64e15))): TimeWindow {
  const step = stepFor(rangeLength(range), 100);
  if (!('preset' in range)) return { from: range.from, to: range.to, step, zone };
  // Those hours are whole ones of UTC. In Kolkata, half an hour off, steps of hours begin at half past; days begin at midnight all the same.
  const stepZone = step >= HOUR && step < DAY ? Math.floor(zone / HOUR) * HOUR : zone;
  return { from: Math.max(0, floor(now - PRESETS[range.preset], step, stepZone)), to: now, step, zone: stepZone };
}

/**
 * The same window whole steps before: yesterday at the same time, the week before on the same days. Steps of a period that began at odd minutes
 * would be none that the service keeps worked out.
 */
export function earlier(window: TimeWindow): TimeWindow | null {
  const by = Math.max(1, Math.floor((window.to - window.from) / window.step)) * window.step;
  return window.from < by ? null : { ...window, from: window.from - by, to: window.to - by };
}

/** Whether the last step of the window is still running. */
export function isPartial(window: TimeWindow): boolean {
  return floor(window.to, window.step, window.zone) !== window.to;
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

/** Every step of the window, as the server names them: multiples of the step in the viewer's zone. */
export function stepsOf(window: TimeWindow): number[] {
  const times: number[] = [];
  for (let time = floor(window.from, window.step, window.zone); time < window.to; time += window.step) times.push(time);
  return times;
}
