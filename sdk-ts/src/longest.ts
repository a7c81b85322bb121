/** The few that took longest, the longest first. */
export function longest<Timed extends {duration: number}>(all: readonly Timed[], max: number): Timed[] {
  return [...all].sort((a, b) => b.duration - a.duration).slice(0, max);
}
