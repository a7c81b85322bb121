import { describe, expect, it, vi } from 'vitest';
// @ts-expect-error the mock is plain JavaScript
import { history } from '../mock/data.mjs';
// @ts-expect-error the mock is plain JavaScript
import { runIssues, setIssue } from '../mock/issues.mjs';
// @ts-expect-error the mock is plain JavaScript
import { runEvents, runQuery } from '../mock/query.mjs';
// @ts-expect-error the mock is plain JavaScript
import { runSessions } from '../mock/sessions.mjs';
import { ApiError } from '../src/api/client.ts';
import * as errors from '../src/api/queries/errors.ts';
import * as requests from '../src/api/queries/requests.ts';
import * as sessions from '../src/api/queries/sessions.ts';
import { countOf, numbersOf, rowsOf, textOf } from '../src/api/table.ts';
import type { Frame } from '../src/api/types.ts';
import { foldedFrames } from '../src/lib/stack.ts';
import { windowOf } from '../src/lib/range.ts';
import { decide, statusOf } from '../src/state/issues.ts';
import { NO_FILTERS } from '../src/state/url.ts';

const NOW = 1_732_096_812_345;
const TYPE_ERROR = '9f2c61d0a4b7e813';
const window = windowOf({ preset: '24h' }, NOW, 3_600_000);
const scope = { project: 'shop', filters: { ...NO_FILTERS, release: ['1.4.0'] } };
const everything = { project: 'shop', filters: NO_FILTERS };
const events = history('shop', NOW, 3);
/** As it goes over the wire: what is undefined is not there. */
const sent = <T,>(query: T): T => JSON.parse(JSON.stringify(query)) as T;

describe('questions keep to the contract and find something', () => {
  const tables = {
    issueCourse: errors.issueCourse(scope, window), issueTrend: errors.issueTrend(scope, window, TYPE_ERROR),
    issueFacets: errors.issueFacets(scope, window, TYPE_ERROR, errors.FACETS), tag: errors.issueFacets(scope, window, TYPE_ERROR, ['tags.tenant']),
    durations: requests.durations(scope, window), durationsBefore: requests.durationsBefore({ ...scope, compare: true }, window)!, requestOutcomes: requests.requestOutcomes(scope, window),
    endpoints: requests.endpoints(scope, window), resourceTypes: requests.resourceTypes(scope, window), resourceCourse: requests.resourceCourse(scope, window), slowestFiles: requests.slowestFiles(scope, window),
  };
  it.each(Object.entries(tables))('%s', (_, query) => { expect(runQuery(events, sent(query)).rows.length).toBeGreaterThan(0); });

  const lists = {
    issueEvents: errors.issueEvents(scope, window, TYPE_ERROR, null), endpointEvents: requests.endpointEvents(everything, window, { method: 'GET', target: 'https://shop.example/api/', failed: true }),
  };
  it.each(Object.entries(lists))('%s', (_, query) => { expect(runEvents(events, sent(query)).events.length).toBeGreaterThan(0); });

  it.each(Object.entries(sessions.SESSION_MARKS))('sessions with %s have them', (mark) => {
    const list = sessions.sessionList(everything, window, { order: 'newest', mark: mark as sessions.SessionMark, offset: 0 });
    const rows = rowsOf(runSessions(events, sent(list)));
    const column = { errors: 'errors', rage: 'rage_clicks', failures: 'failures' }[mark]!;
    expect(rows.length).toBeGreaterThan(0);
    // Dead clicks have no column of their own.
    if (mark !== 'rage') expect(rows.every((row) => countOf(row, column) > 0)).toBe(true);
  });
});

describe('issues', () => {
  const list = (states: Map<string, unknown>, more: Partial<errors.IssueList> = {}) =>
    rowsOf(runIssues(events, sent(errors.issueList(everything, window, { status: [], search: '', order: 'count', ...more })), states));

  it('have a course that adds up to their count', () => {
    const [first] = list(new Map());
    expect(numbersOf(first, 'spark').length).toBe(24);
    expect(numbersOf(first, 'spark').reduce((sum, count) => sum + count, 0)).toBe(countOf(first, 'count'));
  });

  it('that are resolved are not on the list of what is to do, until they come back', () => {
    const [states, unresolved] = [new Map(), { status: ['open', 'regressed'] as const }];
    const seen = list(states, unresolved).length;
    setIssue(states, { project: 'shop', fingerprint: TYPE_ERROR, status: 'resolved' }, NOW);
    expect(list(states, unresolved).length).toBe(seen - 1);
    expect(list(states, { status: ['resolved'] }).map((row) => textOf(row, 'fingerprint'))).toEqual([TYPE_ERROR]);
    setIssue(states, { project: 'shop', fingerprint: TYPE_ERROR, status: 'resolved' }, NOW - 86_400_000);
    expect(list(states, { status: ['regressed'] }).map((row) => textOf(row, 'fingerprint'))).toEqual([TYPE_ERROR]);
  });

  it('have events whose pages neither lose nor repeat any', () => {
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: { events: { id: string }[]; next: string | null } = runEvents(events, sent(errors.issueEvents(everything, window, TYPE_ERROR, cursor)));
      seen.push(...page.events.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBe(countOf(rowsOf(runIssues(events, sent(errors.issueRow(everything, window, TYPE_ERROR)), new Map()))[0], 'count'));
  });
});

describe('a decision', () => {
  it('is shown before the service has taken it', async () => {
    const answers: (() => void)[] = [];
    const done = decide('p', ['a'], 'resolved', () => new Promise<void>((resolve) => { answers.push(resolve); }));
    expect(statusOf('p', 'a', 'open')).toBe('resolved');
    expect(statusOf('other', 'a', 'open')).toBe('open');
    answers.forEach((answer) => answer());
    expect(await done).toEqual({ taken: ['a'], refused: [], why: '' });
    expect(statusOf('p', 'a', 'open')).toBe('resolved');
    // What the service says later holds again: it may have come back.
    expect(statusOf('p', 'a', 'regressed', Date.now() + 6_000)).toBe('regressed');
  });

  it('that is refused is taken back, with the reason, and only that one', async () => {
    const send = vi.fn(async ({ fingerprint }: { fingerprint: string }) => { if (fingerprint === 'c') throw new ApiError(503, 'unavailable', 'the store does not answer'); });
    const outcome = await decide('p', ['b', 'c', 'd'], 'ignored', send);
    expect(outcome).toEqual({ taken: ['b', 'd'], refused: ['c'], why: 'the store does not answer' });
    expect(['b', 'c', 'd'].map((fingerprint) => statusOf('p', fingerprint, 'open'))).toEqual(['ignored', 'open', 'ignored']);
  });

  it('about many issues is sent a few at a time', async () => {
    let [now, most] = [0, 0];
    await decide('p', Array.from({ length: 40 }, (_, index) => `many-${index}`), 'resolved', async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 1));
      now--;
    });
    expect(most).toBe(6);
  });
});

describe('a stack', () => {
  const own = (name: string): Frame => ({ function: name, file: 'https://shop.example/app.js', line: 1, column: 1, in_app: true });
  const library = (name: string): Frame => ({ function: name, file: 'https://unpkg.com/lib.js', line: 1, column: 1, in_app: true });
  const shape = (frames: Frame[]) => foldedFrames(frames).map((part) => (Array.isArray(part) ? part.length : part.function));

  it('folds what is not of the application', () => {
    expect(shape([own('a'), library('x'), library('y'), own('b'), library('z'), library('z'), library('z')])).toEqual(['a', 2, 'b', 3]);
  });

  it('keeps a single one, and their order', () => {
    expect(shape([library('x'), own('a'), library('y')])).toEqual(['x', 'a', 'y']);
    expect(shape([])).toEqual([]);
  });
});
