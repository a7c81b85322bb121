import {absoluteUrl} from './absoluteUrl.js';

/**
 * An address to group by: absolute, without user, query and fragment. Of an address that is its own content (`data:`, `blob:`)
 * only the scheme is kept.
 */
export function bareUrl(url: string): string {
  const [, scheme = '', rest = ''] = /^([a-z][\w+.-]*:)(.*)$/is.exec(absoluteUrl(url)) ?? [, '', url];
  if (scheme && !rest.startsWith('//')) return scheme;
  return scheme + rest.replace(/[?#].*$/s, '').replace(/^\/\/[^/]*@/, '//');
}
