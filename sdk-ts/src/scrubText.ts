import {scrubUrl} from './scrubUrl.js';

/** A message or stack with the addresses in it scrubbed: errors of inline scripts name the page, with its query, as their file. */
export function scrubText(text: string): string {
  return text.replace(/\bhttps?:\/\/[^\s)"'<>]+/gi, (found) => {
    // `…/page?token=abc:7:36` ends with line and column, which belong to the stack.
    const [position = ''] = /(:\d+){1,2}$/.exec(found) ?? [];
    return scrubUrl(found.slice(0, found.length - position.length)) + position;
  });
}
