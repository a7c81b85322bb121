/** What became of one send. */
export interface Answer {
  /** HTTP status; 0 when there was no answer, so that nobody knows whether the body arrived. */
  status: number;
  /** Seconds the receiver asks to wait, as its header or message says. */
  retryAfter?: string | number | null | undefined;
  /** The events that the receiver will never take, by their position. */
  rejected?: {index: number}[] | undefined;
}

/**
 * One way to the receiver. They are asked one after the other until one takes the body.
 *
 * Undefined when this way cannot take it now: not supported, too large, quota used up, not connected; nothing was sent then.
 * `leaving` tells that the page may be gone before an answer. A promise that is rejected counts as no answer; while one is open, only a page that is left sends anything else.
 */
export type Transport = (body: string, leaving: boolean) => Promise<Answer> | undefined;

/** ms without an answer after which a body counts as lost. */
export const TIMEOUT = 30_000;
