import { askTable, type TablePath } from '../api/client.ts';
import type { Scope } from '../api/queries/common.ts';
import { partOf, rowsOf, type Row } from '../api/table.ts';
import type { Query, Scoped, Stats } from '../api/types.ts';
import { rangeKey, refreshEvery, stepsOf, windowOf, type TimeWindow } from '../lib/range.ts';
import { view } from './store.ts';
import { useResource, type Resource } from './use-resource.ts';

/** A question for aggregates, or one of the other questions that are answered with a table; what is `null` is not asked and has no rows. */
export type Question = Query | { path: TablePath; query: Scoped } | null;

export interface Answer {
  columns: string[];
  rows: Row[];
  /** The period before, its times moved into this one; `null` when it was not asked for. */
  previous: Row[] | null;
  /** The whole range; none when it was not asked for. */
  totals: Row[];
  stats: Stats;
}

export interface Answers<K extends string> {
  window: TimeWindow;
  /** The steps of the window. */
  times: number[];
  tables: Record<K, Answer>;
  /** Of all answers. */
  stats: Stats[];
}

const NOTHING: Answer = { columns: [], rows: [], previous: null, totals: [], stats: { elapsed_ms: 0, rows_read: 0 } };

/** Stands for every window in the key of a question: presets move with the clock, their questions stay the same. */
const ANY_WINDOW: TimeWindow = { from: 1e12, to: 1e12 + 1, step: 1, zone: 0 };

/**
 * Asks some questions about the view at once, again when the view or the questions change, and as often as the range wants.
 * `questions` must be a pure function of its arguments and of what it closes over.
 */
export function useQuery<K extends string>(project: string, questions: (scope: Scope, window: TimeWindow) => Record<K, Question>): Resource<Answers<K>> {
  const { range, filters, compare } = view.value;
  const scope: Scope = { project, filters, compare };
  const key = JSON.stringify([rangeKey(range), compare, questions(scope, ANY_WINDOW)]);
  return useResource(key, async (signal) => {
    // Whole seconds, so that parts of a page that ask the same in one moment ask once.
    const window = windowOf(range, Math.ceil(Date.now() / 1000) * 1000);
    const asked = Object.entries(questions(scope, window)) as [K, Question][];
    const answers = await Promise.all(asked.map(async ([name, question]): Promise<[K, Answer]> => {
      if (question === null) return [name, NOTHING];
      const table = await ('path' in question ? askTable(question.path, question.query, signal) : askTable('query', question, signal));
      return [name, { columns: table.columns, rows: rowsOf(table), previous: partOf(table, 'previous'), totals: partOf(table, 'totals') ?? [], stats: table.stats }];
    }));
    return { window, times: stepsOf(window), tables: Object.fromEntries(answers) as Record<K, Answer>, stats: answers.flatMap(([, answer]) => (answer === NOTHING ? [] : [answer.stats])) };
  }, refreshEvery(range), true);
}
