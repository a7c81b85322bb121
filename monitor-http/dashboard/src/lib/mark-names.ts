// The names of marks above a chart: releases that came one soon after the other must not be written over each other, nor beyond the chart's edges.

/** Longest name that is written out. */
const LETTERS = 16;
/** Width of a letter of the charts' small font, and the gap between two names, in pixels. */
const LETTER = 6.2;
const GAP = 6;
/** Letters that a name may get later, by counting others. */
const COUNT = 3;

/** What is written at a step: around its middle, or where there is no room for that, on one side of it. */
export interface MarkName {
  text: string;
  align: 'left' | 'center' | 'right';
}

interface Place {
  align: MarkName['align'];
  /** Pixels from the left edge. */
  from: number;
  to: number;
}

/** What is written at which step, of `steps` that are `pixels` wide. A name that has no room counts with the one before it: `5.5.0 +1`. */
export function markNames(marks: ReadonlyMap<number, readonly string[]>, steps: number, pixels: number): Map<number, MarkName> {
  const written = new Map<number, MarkName>();
  let last: { index: number; names: string[]; place: Place } | null = null;
  for (const [index, names] of [...marks].sort(([a], [b]) => a - b)) {
    const place = placeOf((index + 0.5) * pixels, (shortened(names).length + COUNT) * LETTER, steps * pixels);
    if (last && place.from < last.place.to + GAP) last.names.push(...names);
    else last = { index, names: [...names], place };
    written.set(last.index, { text: shortened(last.names), align: last.place.align });
  }
  return written;
}

function placeOf(at: number, width: number, end: number): Place {
  if (at + width / 2 > end) return { align: 'right', from: at - width, to: at };
  if (at - width / 2 < 0) return { align: 'left', from: at, to: at + width };
  return { align: 'center', from: at - width / 2, to: at + width / 2 };
}

function shortened([first = '', ...more]: readonly string[]): string {
  return `${first.length > LETTERS ? `${first.slice(0, LETTERS)}…` : first}${more.length > 0 ? ` +${more.length}` : ''}`;
}
