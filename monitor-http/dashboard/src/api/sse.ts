// Server-sent events read from a fetch body (EventSource cannot send an Authorization header).

export interface SseMessage {
  event: string;
  data: string;
}

/** More than this without an end is not a message of ours; the reader gives up rather than growing for ever. */
const MAX_PENDING = 16 * 1024 * 1024;

/** Feed it text as it arrives; it hands out whole messages. Follows the parsing rules of the HTML standard, without ids. */
export class SseParser {
  #pending = '';
  #event = '';
  #data: string[] = [];
  #size = 0;

  push(text: string): SseMessage[] {
    const messages: SseMessage[] = [];
    this.#pending += text;
    if (this.#pending.length + this.#size > MAX_PENDING) throw new Error('message of the live stream is too large');
    // A CR at the very end may be the first half of CRLF: it waits for what follows.
    const lines = this.#pending.split(/\r\n|\n|\r(?!$)/);
    this.#pending = lines.pop() ?? '';
    for (const line of lines) {
      const message = this.#line(line);
      if (message) messages.push(message);
    }
    return messages;
  }

  #line(line: string): SseMessage | null {
    if (line === '') {
      const message = this.#data.length > 0 ? { event: this.#event || 'message', data: this.#data.join('\n') } : null;
      this.#event = '';
      this.#data = [];
      this.#size = 0;
      return message;
    }
    if (line.startsWith(':')) return null;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length;
    }
    return null;
  }
}
