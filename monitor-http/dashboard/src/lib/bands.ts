// The web vitals and their thresholds (https://web.dev/articles/vitals): a value up to `good` is good, above `poor` is poor.
// The server counts its `good`, `needs_improvement` and `poor` measures by the same numbers (docs/query-api.md).

export type VitalName = 'LCP' | 'INP' | 'CLS' | 'FCP' | 'TTFB';
export type Band = 'good' | 'needs-improvement' | 'poor';

export interface Vital {
  name: VitalName;
  label: string;
  /** Milliseconds, or the plain score for CLS. */
  good: number;
  poor: number;
}

export const VITALS: readonly Vital[] = [
  { name: 'LCP', label: 'Largest Contentful Paint', good: 2500, poor: 4000 },
  { name: 'INP', label: 'Interaction to Next Paint', good: 200, poor: 500 },
  { name: 'CLS', label: 'Cumulative Layout Shift', good: 0.1, poor: 0.25 },
  { name: 'FCP', label: 'First Contentful Paint', good: 1800, poor: 3000 },
  { name: 'TTFB', label: 'Time to First Byte', good: 800, poor: 1800 },
];

export const VITAL_NAMES: readonly VitalName[] = VITALS.map((vital) => vital.name);

export const BAND_LABELS: Record<Band, string> = { good: 'Good', 'needs-improvement': 'Needs improvement', poor: 'Poor' };

export function vitalByName(name: string): Vital | undefined {
  return VITALS.find((vital) => vital.name === name);
}

export function bandOf(vital: Vital, value: number): Band {
  if (value <= vital.good) return 'good';
  return value <= vital.poor ? 'needs-improvement' : 'poor';
}
