import { describe, expect, it } from 'vitest';
import { filteredFields, formatView, parseView, viewOf, withFilter, withParam } from '../src/state/url.ts';

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

  it.each(['', '#', '#/', '#/nowhere', '#//', '#?', '#/overview?range=99y&from=x&to=', '#/overview?from=5&to=5', '#/overview?from=-1&to=9e99', '#/overview?from=1.5&to=2.5'])('falls back to the last day of the overview for %j', (hash) => {
    expect(parseView(hash)).toMatchObject({ page: 'overview', fingerprint: null, range: { preset: '24h' } });
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
    const view = parseView('#/errors/9f?project=shop&range=7d&browser=Safari&attributes.plan=pro&name=LCP&q=boom&sort=-visitors&tab=x');
    expect(formatView(viewOf(view, 'performance'))).toBe('#/performance?project=shop&range=7d&browser=Safari&attributes.plan=pro');
  });

  it('holds what a page keeps for itself, and what only some events can be filtered by', () => {
    const view = parseView('#/sessions/s%201?project=shop&range=7d&rating=poor&tags.tenant=acme&tab=b&status=open&state=x&state=y');
    expect(view).toMatchObject({ page: 'sessions', session: 's 1', fingerprint: null, params: { tab: ['b'], state: ['x', 'y'] } });
    expect(filteredFields(view.filters)).toEqual(['rating', 'tags.tenant', 'status']);
    expect(parseView(formatView(view))).toEqual(view);
    expect(withParam(view, 'tab', '')).toEqual({ state: ['x', 'y'] });
  });

  it('takes for a filter only what is a field', () => {
    const view = parseView('#/overview?attributes.=x&__proto__=x&constructor=y&attributes.plan=pro');
    expect(filteredFields(view.filters)).toEqual(['attributes.plan']);
    expect(formatView({ ...view, filters: withFilter(view.filters, 'attributes.plan', []) })).not.toContain('plan');
  });

  it('compares unless it is told not to', () => {
    expect(parseView('#/overview').compare).toBe(true);
    const view = parseView('#/overview?compare=0');
    expect(view.compare).toBe(false);
    expect(formatView(view)).toContain('compare=0');
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
