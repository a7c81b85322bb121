import type {Exchange} from './integrations/requests.js';

/** Longest body that is read, UTF-16 units. */
const MAX_BODY = 65_536;

/** An answer that arrived. */
export interface Answered {
  /** Absolute, with all its parameters. */
  url: string;
  /** HTTP status. */
  status: number;
  /** The body when it is JSON, parsed; of a text the first 65,536 characters must be all. */
  body: any;
}

/**
 * For `requests({onAnswer})`: finds failures that HTTP knows nothing of. `failureOf` is asked about each answer: the code of its failure,
 * which becomes `data.code`, or nothing. An exception counts as nothing. What it requests itself at once is not captured.
 *
 * JSON that is fetched is read twice, by the page and from a clone: up to 64 KiB are held until both have them, and the event
 * waits for the end of the body.
 */
export function businessCode(failureOf: (answer: Answered) => unknown): (exchange: Exchange) => Promise<void> {
  return async ({url, attributes, data, answer, client}) => {
    const body = await bodyOf(answer);
    const code = await client.ask(failureOf, {url, status: attributes['status'] as number, body});
    if (code == null) return;
    attributes['failure'] ||= 'business';
    data['code'] = code;
  };
}

/** The JSON of an answer, if that is not too long; undefined otherwise. */
async function bodyOf(answer: Exchange['answer']): Promise<unknown> {
  try {
    // Now: later the page may have read the response, or used the XMLHttpRequest again.
    const body = answer instanceof XMLHttpRequest ? answer.response : await beginning(answer!);
    return typeof body === 'string' ? JSON.parse(body.slice(0, MAX_BODY)) : body;
  } catch {
    // Not JSON, cut short or broken off.
    return undefined;
  }
}

/** The beginning of a body as text if it is JSON, from a clone: the page has the response itself to read. */
async function beginning(response: Response): Promise<string> {
  let text = '';
  if (/[/+]json\b/i.test(response.headers.get('content-type')!)) {
    const reader = response.clone().body!.getReader();
    const decoder = new TextDecoder();
    for (let chunk; text.length <= MAX_BODY && !(chunk = await reader.read()).done; ) text += decoder.decode(chunk.value, {stream: true});
    void reader.cancel();
  }
  return text;
}
