import {absoluteUrl} from './absoluteUrl.js';

/**
 * An address to group by: absolute, without user, query and fragment. Of an address that is its own content (`data:`, `blob:`)
 * only the scheme is kept.
 */
export function bareUrl(url: string): string {
  return absoluteUrl(url)
    .replace(/^([a-z][\w+.-]*:)(?!\/\/).*$/is, '$1')
    .replace(/[?#].*$/s, '')
    .replace(/\/\/[^/?#\s]*@/g, '//');
}
