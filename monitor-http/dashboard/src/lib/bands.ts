// The web vitals and their thresholds (https://web.dev/articles/vitals): a value up to `good` is good, above `poor` is poor.
// The server counts its `good`, `needs_improvement` and `poor` measures by the same numbers (docs/query-api.md).

import { messages } from '../i18n/index.ts';

export type VitalName = 'LCP' | 'INP' | 'CLS' | 'FCP' | 'TTFB';
export type Band = 'good' | 'needs-improvement' | 'poor';

export interface Vital {
  name: VitalName;
  /** Milliseconds, or the plain score for CLS. */
  good: number;
  poor: number;
}

const t = messages({
  LCP: ['Largest Contentful Paint', '最大内容绘制'],
  INP: ['Interaction to Next Paint', '交互到下次绘制'],
  CLS: ['Cumulative Layout Shift', '累积布局偏移'],
  FCP: ['First Contentful Paint', '首次内容绘制'],
  TTFB: ['Time to First Byte', '首字节时间'],
  good: ['Good', '良好'],
  'needs-improvement': ['Needs improvement', '需改进'],
  poor: ['Poor', '较差'],
});

export const VITALS: readonly Vital[] = [
  { name: 'LCP', good: 2500, poor: 4000 },
  { name: 'INP', good: 200, poor: 500 },
  { name: 'CLS', good: 0.1, poor: 0.25 },
  { name: 'FCP', good: 1800, poor: 3000 },
  { name: 'TTFB', good: 800, poor: 1800 },
];

export const vitalLabel = (name: VitalName): string => t(name);
export const bandLabel = (band: Band): string => t(band);

export const VITAL_NAMES: readonly VitalName[] = VITALS.map((vital) => vital.name);

export function vitalByName(name: string): Vital | undefined {
  return VITALS.find((vital) => vital.name === name);
}

export function bandOf(vital: Vital, value: number): Band {
  if (value <= vital.good) return 'good';
  return value <= vital.poor ? 'needs-improvement' : 'poor';
}
