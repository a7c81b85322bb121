// Every request to the service. Addresses are relative to the document, which is where the host mounted the service.

import { signal } from '@preact/signals';
import type { EventPage, EventsQuery, Project, Query, Table } from './types.ts';

/** What went wrong, in the words the service used; `status` 0 means that there was no answer. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
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

export async function request(path: string, init: RequestInit): Promise<Response> {
  const sent = token;
  const headers = new Headers(init.headers);
  if (sent) headers.set('Authorization', `Bearer ${sent}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'same-origin' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'the server cannot be reached');
  }
  if (response.ok) return response;
  if (response.status === 401 && sent === token) {
    needsToken.value = true;
    tokenRefused.value = sent !== '';
  }
  throw await errorOf(response);
}

async function errorOf(response: Response): Promise<ApiError> {
  const fallback = `the server answered ${response.status}`;
  try {
    const body = (await response.json()) as { error?: { code?: unknown; message?: unknown } };
    const { code, message } = body.error ?? {};
    return new ApiError(response.status, typeof code === 'string' ? code : '', typeof message === 'string' && message ? message : fallback);
  } catch {
    return new ApiError(response.status, '', fallback);
  }
}

async function json<T>(path: string, init: RequestInit): Promise<T> {
  const response = await request(path, init);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(response.status, 'bad_answer', 'the answer is not valid JSON');
  }
}

const post = (body: unknown, signal: AbortSignal): RequestInit => ({
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal,
});

export async function getProjects(signal: AbortSignal): Promise<Project[]> {
  return (await json<{ projects: Project[] }>('query/projects', { signal })).projects;
}

export function ask(query: Query, signal: AbortSignal): Promise<Table> {
  return json<Table>('query', post(query, signal));
}

export function askEvents(query: EventsQuery, signal: AbortSignal): Promise<EventPage> {
  return json<EventPage>('query/events', post(query, signal));
}
