// The names of marks above a chart: releases that came one soon after the other must not be written over each other.

/** Longest name that is written out. */
const LETTERS = 16;
/** Width of a letter of the charts' small font, and the gap between two names, in pixels. */
const LETTER = 6.2;
const GAP = 6;
/** Letters that two names may get later, by counting others. */
const COUNTS = 6;

/** What is written at which step. A name that has no room counts with the one before it: `5.5.0 +1`. Names are centred; `pixels` is the width of a step. */
export function markNames(marks: ReadonlyMap<number, readonly string[]>, pixels: number): Map<number, string> {
  const written = new Map<number, string>();
  let last: { index: number; names: string[] } | null = null;
  for (const [index, names] of [...marks].sort(([a], [b]) => a - b)) {
    if (last && (index - last.index) * pixels < ((shortened(last.names).length + shortened(names).length + COUNTS) * LETTER) / 2 + GAP) {
      last.names.push(...names);
    } else {
      last = { index, names: [...names] };
    }
    written.set(last.index, shortened(last.names));
  }
  return written;
}

function shortened([first = '', ...more]: readonly string[]): string {
  return `${first.length > LETTERS ? `${first.slice(0, LETTERS)}…` : first}${more.length > 0 ? ` +${more.length}` : ''}`;
}
