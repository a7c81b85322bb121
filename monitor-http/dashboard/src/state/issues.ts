// What somebody decides about issues: shown at once, taken back when the service did not take it.

import { signal } from '@preact/signals';
import { setIssue } from '../api/client.ts';
import type { IssueState, IssueStatus } from '../api/types.ts';
import { reasonText } from '../i18n/reasons.ts';

export type Decision = IssueState['status'];

/** A decision stands above answers that may be older than it: until it was taken, and this much longer, ms. */
const LINGER = 5_000;
/** Sent at the same time. */
const AT_ONCE = 6;

interface Decided {
  status: Decision;
  /** When the service took it, ms since the epoch; `null` while it has not. */
  taken: number | null;
}

const decided = signal<ReadonlyMap<string, Decided>>(new Map());

const nameOf = (project: string, fingerprint: string) => JSON.stringify([project, fingerprint]);

function put(name: string, decision: Decided | null): void {
  const next = new Map(decided.peek());
  if (decision) next.set(name, decision);
  else next.delete(name);
  decided.value = next;
}

/** The status of an issue: as just decided, or else as the service said. */
export function statusOf(project: string, fingerprint: string, said: IssueStatus, now = Date.now()): IssueStatus {
  const decision = decided.value.get(nameOf(project, fingerprint));
  return decision && (decision.taken === null || now - decision.taken < LINGER) ? decision.status : said;
}

export interface Outcome {
  taken: string[];
  refused: string[];
  /** Empty when all were taken. */
  why: string;
}

/** Decides about issues. Those that were refused have their old status again when it resolves; it never rejects. */
export async function decide(project: string, fingerprints: readonly string[], status: Decision, send: typeof setIssue = setIssue): Promise<Outcome> {
  const outcome: Outcome = { taken: [], refused: [], why: '' };
  const { signal: never } = new AbortController();
  const names = new Map(fingerprints.map((fingerprint) => [fingerprint, nameOf(project, fingerprint)]));
  const before = new Map([...names].map(([fingerprint, name]) => [fingerprint, decided.peek().get(name) ?? null]));
  for (const name of names.values()) put(name, { status, taken: null });
  const waiting = [...names];
  async function work() {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [fingerprint, name] = next;
      try {
        await send({ project, fingerprint, status }, never);
        put(name, { status, taken: Date.now() });
        outcome.taken.push(fingerprint);
      } catch (error) {
        put(name, before.get(fingerprint) ?? null);
        outcome.refused.push(fingerprint);
        outcome.why = reasonText(error);
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return outcome;
}
