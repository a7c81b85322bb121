// How the service itself is doing: the answer of `query/system`, and what is made of it.

import { json } from '../client.ts';
import { isSystem } from '../shapes.ts';

export interface System {
  version: string;
  /** ms since the epoch. */
  started: number;
  uptime_seconds: number;
  ready: boolean;
  store_available: boolean;
  /** `null` for readers who may not see the whole process. */
  process: Process | null;
}

export interface Process {
  rates: { over_seconds: number; per_second: Record<string, number> };
  spool: { bytes: number; lanes: Record<string, Lane> };
  consumer_lag: Record<string, number>;
  drops: Drop[];
  live_viewers: number;
  metrics: { name: string; label?: string; value: number }[];
}

export interface Lane {
  events: number;
  age_ms: number;
  dead_letters: number;
  delivered: number;
  retried: number;
}

export interface Drop {
  what: string;
  reason: string;
  count: number;
}

export const getSystem = (signal: AbortSignal): Promise<System> => json<System>('query/system', { signal }, isSystem);

/** A total over all its labels. */
export function totalOf(process: Process, name: string): number {
  return process.metrics.filter((metric) => metric.name === name).reduce((sum, { value }) => sum + value, 0);
}

/** What is lost for good, apart from what was kept elsewhere or is a copy. */
const LOSSES = new Set(['events_rejected', 'events_dropped', 'client_events_discarded', 'events_expired', 'spool_quarantined']);

export const isLoss = ({ what }: Drop): boolean => LOSSES.has(what);

/** One reading of what moves, for the course since the page was opened: nobody keeps it elsewhere. */
export interface Reading {
  time: number;
  received: number;
  waiting: number;
}

export function readingOf(process: Process, time: number): Reading {
  const waiting = Object.values(process.spool.lanes).map(({ events }) => events);
  return { time, received: process.rates.per_second['events_accepted'] ?? 0, waiting: Math.max(0, ...waiting) };
}
