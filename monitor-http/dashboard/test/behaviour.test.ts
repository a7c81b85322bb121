import { describe, expect, test } from 'vitest';
import { formatStep, funnel, parseStep, paths, topPages } from '../src/api/queries/behaviour.ts';
import { NO_FILTERS } from '../src/state/url.ts';

const window = { from: 0, to: 3_600_000, step: 60_000, zone: 0 };
const scope = { project: 'shop', filters: { ...NO_FILTERS, device: ['mobile'] } };

describe('steps of a funnel', () => {
  test('survive the address', () => {
    for (const text of ['page_view:/cart', 'track:purchase', 'click:#buy > a:first-child', 'request:']) {
      expect(formatStep(parseStep(text)!)).toBe(text);
    }
  });

  test('are made only of what is known', () => {
    expect(parseStep('toString:x')).toBeNull();
    expect(parseStep('')).toBeNull();
    expect(parseStep('page_view')).toEqual({ kind: 'page_view', field: 'route', value: '' });
  });

  test('become conditions, an empty value any event of the kind', () => {
    const steps = ['page_view:/cart', 'track:'].map((text) => parseStep(text)!);
    expect(funnel(scope, window, { steps, hours: 24, by: 'session' })).toEqual({
      project: 'shop', from: 0, to: 3_600_000, by: 'session', within: 86_400_000,
      filters: [{ field: 'device', op: 'in', values: ['mobile'] }],
      steps: [
        { label: '/cart', kinds: ['page_view'], filters: [{ field: 'route', op: 'in', values: ['/cart'] }] },
        { label: 'track', kinds: ['track'], filters: [] },
      ],
    });
  });
});

test('paths begin at the first page of the session unless a route is named', () => {
  expect(paths(scope, window, '')).not.toHaveProperty('start');
  expect(paths(scope, window, '/cart').start).toBe('/cart');
});

test('pages are ordered by their views, not by all that was counted', () => {
  expect(topPages(scope, window).order_by).toEqual({ column: 'count:page_view', descending: true });
});
