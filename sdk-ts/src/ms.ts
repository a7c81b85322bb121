/** Milliseconds as they are sent: clocks of browsers step by 0.1 ms at best, and what a browser left out is 0, never NaN or negative. */
export function ms(value: number | undefined): number {
  return Math.max(Math.round(value! * 10) / 10, 0) || 0;
}
