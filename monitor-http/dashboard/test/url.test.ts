import { describe, expect, it } from 'vitest';
import { formatView, parseView, viewOf } from '../src/state/url.ts';

describe('the view in the address', () => {
  it('comes back as it was written', () => {
    const hash = '#/errors/9f%2Fc%20?project=shop&range=24h&release=1.4.0&release=a%26b&environment=production&route=%2Fcart&q=x+%23+%3F&sort=-visitors&kind=error&vital=INP';
    const view = parseView(hash);
    expect(view).toMatchObject({
      page: 'errors', fingerprint: '9f/c ', project: 'shop', range: { preset: '24h' }, search: 'x # ?', sort: '-visitors', kinds: ['error'], vital: 'INP',
      filters: { release: ['1.4.0', 'a&b'], environment: ['production'], browser: [], route: ['/cart'] },
    });
    expect(parseView(formatView(view))).toEqual(view);
  });

  it.each(['', '#', '#/', '#/nowhere', '#//', '#?', '#/overview?range=99y&from=x&to=', '#/overview?from=5&to=5', '#/overview?from=-1&to=9e99', '#/overview?from=1.5&to=2.5'])('falls back to the last hour of the overview for %j', (hash) => {
    expect(parseView(hash)).toMatchObject({ page: 'overview', fingerprint: null, range: { preset: '1h' } });
  });

  it('keeps a fixed range', () => {
    const view = parseView('#/overview?from=1732096800000&to=1732100400000');
    expect(view.range).toEqual({ from: 1732096800000, to: 1732100400000 });
    expect(formatView(view)).toContain('from=1732096800000&to=1732100400000');
  });

  it('survives escapes that are none', () => {
    expect(parseView('#/errors/%zz').fingerprint).toBe('%zz');
  });

  it('drops what belongs to one page when another is opened, and keeps range and filters', () => {
    const view = parseView('#/errors/9f?project=shop&range=7d&browser=Safari&q=boom&sort=-visitors');
    expect(formatView(viewOf(view, 'pages'))).toBe('#/pages?project=shop&range=7d&browser=Safari');
  });

  it('bounds repeated values', () => {
    const hash = `#/overview?${Array.from({ length: 5000 }, (_, index) => `release=${index}`).join('&')}`;
    expect(parseView(hash).filters.release).toHaveLength(100);
  });

  it('an empty value is a value: the release that was not named', () => {
    const view = parseView('#/overview?release=');
    expect(view.filters.release).toEqual(['']);
    expect(parseView(formatView(view)).filters.release).toEqual(['']);
  });
});
