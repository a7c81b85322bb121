// Every request to the service. Addresses are relative to the document, which is where the host mounted the service.

import { signal } from '@preact/signals';
import { isEventPage, isObject, isProjects, isTable, type Members } from './shapes.ts';
import { shared } from './shared.ts';
import type { EventField, EventPage, EventsQuery, IssueState, Project, Query, Scoped, SessionQuery, Table } from './types.ts';

/** What went wrong, in the words the service used, which i18n/reasons.ts translates; `status` 0 means that there was no answer. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message = '') {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
  }
}

const TOKEN = 'monitor-kit.token';

/** True once the service refused the reader: the form for the token is shown. */
export const needsToken = signal(false);
/** True when the refused request did carry a token. */
export const tokenRefused = signal(false);
/** Counts up with each token, so that what had failed is asked again. */
export const tokenVersion = signal(0);

// Storage can be forbidden by the browser; then the token lives as long as the page.
let token = readToken();

function readToken(): string {
  try {
    return sessionStorage.getItem(TOKEN) ?? '';
  } catch {
    return '';
  }
}

export function setToken(text: string): void {
  token = text;
  try {
    if (text) sessionStorage.setItem(TOKEN, text);
    else sessionStorage.removeItem(TOKEN);
  } catch {
    // Kept in memory only, see above.
  }
  needsToken.value = false;
  tokenRefused.value = false;
  tokenVersion.value++;
}

export function hasToken(): boolean {
  return token !== '';
}

/** Shows the form again: the reader has left. */
export function forgetReader(): void {
  setToken('');
  needsToken.value = true;
}

export async function request(path: string, init: RequestInit): Promise<Response> {
  const sent = token;
  const headers = new Headers(init.headers);
  if (sent) headers.set('Authorization', `Bearer ${sent}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'same-origin' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable');
  }
  if (response.ok) return response;
  // A login that is refused says so itself.
  if (response.status === 401 && sent === token && path !== 'login') {
    needsToken.value = true;
    tokenRefused.value = sent !== '';
  }
  throw await errorOf(response);
}

async function errorOf(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as { error?: { code?: unknown; message?: unknown } };
    const { code, message } = body.error ?? {};
    return new ApiError(response.status, typeof code === 'string' ? code : '', typeof message === 'string' ? message : '');
  } catch {
    return new ApiError(response.status, '');
  }
}

/** The answer as an object, which must be what `isRight` looks for. */
export async function json<T>(path: string, init: RequestInit, isRight: (answer: Members) => boolean = () => true): Promise<T> {
  const response = await request(path, init);
  let answer: unknown;
  try {
    answer = await response.json();
  } catch (error) {
    if (init.signal?.aborted) throw error;
  }
  if (!isObject(answer) || !isRight(answer)) throw new ApiError(response.status, 'bad_answer');
  return answer as T;
}

const post = (body: unknown, signal: AbortSignal): RequestInit => ({
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal,
});

export async function getProjects(signal: AbortSignal): Promise<Project[]> {
  return (await json<{ projects: Project[] }>('query/projects', { signal }, isProjects)).projects;
}

/** How one can log in; the service answers that to everybody. */
export interface LoginWays {
  password: boolean;
  token: boolean;
}

export interface Me {
  name: string;
  /** Whether there is a session that can be ended. */
  can_log_out: boolean;
}

export const getLoginWays = (signal: AbortSignal): Promise<LoginWays> => json<LoginWays>('login', { signal });
export const getMe = (signal: AbortSignal): Promise<Me> => json<Me>('query/me', { signal });

/** Opens a session, which the browser keeps as a cookie that no script can read. */
export async function logIn(user: string, password: string, signal: AbortSignal): Promise<void> {
  await request('login', post({ user, password }, signal));
  setToken('');
}

export async function logOut(signal: AbortSignal): Promise<void> {
  await request('logout', { method: 'POST', signal });
  forgetReader();
}

export const ask = (query: Query, signal: AbortSignal): Promise<Table> => askTable('query', query, signal);
export const askSessions = (query: SessionQuery, signal: AbortSignal): Promise<Table> => askTable('query/sessions', query, signal);
export const getStorage = (signal: AbortSignal): Promise<Table> => json<Table>('query/storage', { signal }, isTable);

/** Where a question is asked; all of these answer with a table. */
export type TablePath = 'query' | 'query/funnel' | 'query/retention' | 'query/paths' | 'query/sessions' | 'query/issues';

export function askTable(path: TablePath, query: Scoped, signal: AbortSignal): Promise<Table> {
  return shared(`${path} ${JSON.stringify(query)}`, signal, (either) => json<Table>(path, post(query, either), isTable));
}

export function askEvents<F extends EventField = EventField>(query: EventsQuery<F>, signal: AbortSignal): Promise<EventPage<F>> {
  return shared(`query/events ${JSON.stringify(query)}`, signal, (either) => json<EventPage<F>>('query/events', post(query, either), isEventPage));
}

export async function setIssue(state: IssueState, signal: AbortSignal): Promise<void> {
  await request('query/issues/state', post(state, signal));
}

export type ExportFormat = 'csv' | 'ndjson';

/** Every event that the question is about, up to a million, as a file's contents. */
export async function exportEvents(query: EventsQuery, format: ExportFormat, signal: AbortSignal): Promise<Blob> {
  const init = post(query, signal);
  const accept = format === 'csv' ? 'text/csv' : 'application/x-ndjson';
  const response = await request('query/events/export', { ...init, headers: { 'Content-Type': 'application/json', Accept: accept } });
  return response.blob();
}
