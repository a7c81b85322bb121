// Deciding about issues, on the list and on the page of one.

import { useState } from 'preact/hooks';
import { ISSUE_STATUSES } from '../api/queries/errors.ts';
import type { Row } from '../api/table.ts';
import type { IssueStatus } from '../api/types.ts';
import { t } from '../i18n/errors.ts';
import { decide, type Decision, type Outcome } from '../state/issues.ts';
import { Icon, type IconName } from './Icon.tsx';

/** What the service said; what it may say one day is open. */
export const saidStatus = (row: Row): IssueStatus => ISSUE_STATUSES.find((status) => status === row['status']) ?? 'open';

const STATUS_ICONS: Record<IssueStatus, IconName> = { open: 'stop', regressed: 'warn', resolved: 'check', ignored: 'pause' };

export function StatusTag({ status }: { status: IssueStatus }) {
  return <span class={`status status-${status}`}><Icon name={STATUS_ICONS[status]} />{t(status)}</span>;
}

export interface Decisions {
  project: string;
  decide(fingerprints: readonly string[], status: Decision): Promise<void>;
  /** What became of the last decision. */
  outcome: (Outcome & { status: Decision }) | null;
  dismiss(): void;
}

/** Decides, asks again for what depends on it, and remembers what became of it. */
export function useDecisions(project: string, reload: () => void): Decisions {
  const [outcome, setOutcome] = useState<Decisions['outcome']>(null);
  return {
    project, outcome, dismiss: () => setOutcome(null),
    async decide(fingerprints, status) {
      setOutcome(null);
      const became = await decide(project, fingerprints, status);
      setOutcome({ ...became, status });
      if (became.taken.length > 0) reload();
    },
  };
}

const SAID = { resolved: 'nowResolved', ignored: 'nowIgnored', open: 'nowOpen' } as const;

/** Says what became of a decision, and offers to reopen or to try again. */
export function DecisionNotice({ decisions: { outcome, decide: again, dismiss } }: { decisions: Decisions }) {
  if (!outcome) return null;
  const { taken, refused, why, status } = outcome;
  const close = <button type="button" class="link" onClick={dismiss}>{t('dismiss')}</button>;
  if (refused.length > 0) {
    return (
      <div class="note note-slim" role="alert"><Icon name="warn" />
        <p>{t('notSet', { n: refused.length, all: refused.length + taken.length, why })}</p>
        <button type="button" class="button" onClick={() => void again(refused, status)}>{t('again')}</button>{close}
      </div>
    );
  }
  return (
    <div class="said" role="status"><Icon name="check" /><p>{t(SAID[status], { n: taken.length })}</p>
      {status !== 'open' && <button type="button" class="link" onClick={() => void again(taken, 'open')}>{t('reopen')}</button>}{close}
    </div>
  );
}

const OFFERS: readonly { status: Decision; label: 'resolve' | 'ignore' | 'reopen'; icon: IconName; of: readonly IssueStatus[] }[] = [
  { status: 'resolved', label: 'resolve', icon: 'check', of: ['open', 'regressed', 'ignored'] },
  { status: 'ignored', label: 'ignore', icon: 'pause', of: ['open', 'regressed', 'resolved'] },
  { status: 'open', label: 'reopen', icon: 'up', of: ['resolved', 'ignored'] },
];

/** What can be decided: everything, or what makes sense for an issue in that state. */
export function DecisionButtons({ status, decide: pick }: { status?: IssueStatus; decide(status: Decision): void }) {
  return <>{OFFERS.filter(({ of }) => status === undefined || of.includes(status)).map((offer) => (
    <button type="button" key={offer.status} class="button" onClick={() => pick(offer.status)}><Icon name={offer.icon} />{t(offer.label)}</button>
  ))}</>;
}
