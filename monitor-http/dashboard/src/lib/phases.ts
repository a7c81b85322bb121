import type { EventPart } from '../api/types.ts';

export type Phase = 'redirect' | 'dns' | 'tcp' | 'tls' | 'request' | 'response' | 'interactive' | 'complete' | 'loadEvent';

export interface Phases {
  /** Loads it is the mean of. */
  count: number;
  /** Share of the loads that needed no new connection, 0 to 1. */
  reused: number;
  /** In the order in which they happen, ms since the beginning of the load. */
  phases: { phase: Phase; start: number; duration: number }[];
}

const DURATIONS = ['redirect', 'dns', 'tcp', 'tls', 'request', 'response'] as const;
const MOMENTS = [['interactive', 'dom_interactive'], ['complete', 'dom_complete'], ['loadEvent', 'load']] as const;

/**
 * The mean load. Only loads whose page was visible all the time and that tell every part count: browsers put off what nobody sees.
 * Means, not medians, because they add up.
 */
export function meanPhases(events: readonly EventPart<'data'>[]): Phases {
  const loads = events.map(({ data }) => data).filter(isLoad);
  const mean = (key: string) => loads.reduce((sum, load) => sum + load[key]!, 0) / (loads.length || 1);
  const phases: Phases['phases'] = [];
  let end = 0;
  for (const phase of DURATIONS) {
    const duration = mean(phase);
    phases.push({ phase, start: end, duration });
    end += duration;
  }
  for (const [phase, moment] of MOMENTS) {
    const at = Math.max(end, mean(moment));
    phases.push({ phase, start: end, duration: at - end });
    end = at;
  }
  return { count: loads.length, reused: loads.filter(({ tcp, dns }) => tcp === 0 && dns === 0).length / (loads.length || 1), phases };
}

const KEYS = [...DURATIONS, ...MOMENTS.map(([, key]) => key)];

function isLoad(data: unknown): data is Record<string, number> {
  if (data === null || typeof data !== 'object') return false;
  const members = data as Record<string, unknown>;
  return members['visibility'] !== 'hidden' && KEYS.every((key) => typeof members[key] === 'number' && Number.isFinite(members[key]) && members[key] >= 0);
}
