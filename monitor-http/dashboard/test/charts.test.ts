import { describe, expect, it } from 'vitest';
import type { Bin } from '../src/api/table.ts';
import type { EventDocument } from '../src/api/types.ts';
import { csvOf } from '../src/lib/csv.ts';
import { binsFor } from '../src/lib/histogram.ts';
import { markNames, type MarkName } from '../src/lib/mark-names.ts';
import { meanPhases } from '../src/lib/phases.ts';

describe('a histogram', () => {
  const bins: Bin[] = Array.from({ length: 60 }, (_, index) => [100 * 1.06 ** index, 100 * 1.06 ** (index + 1), 1 + ((index * 7) % 13)]);

  it('loses no value, whatever the widths', () => {
    for (const edges of [[], [200, 500], [1e9]]) {
      const { bars, total } = binsFor(bins, edges);
      expect(bars.reduce((sum, { count }) => sum + count, 0)).toBeCloseTo(total, 6);
      for (const [index, bar] of bars.entries()) expect(bars[index + 1]?.lower ?? bar.upper).toBe(bar.upper);
    }
  });

  it('has an edge at every limit of a band, so that no bar belongs to two', () => {
    const { bars } = binsFor(bins, [200, 500]);
    for (const edge of [200, 500]) expect(bars.some(({ lower }) => lower === edge)).toBe(true);
  });

  it('of nothing, of one value and of zeros has no holes', () => {
    expect(binsFor([]).bars).toEqual([]);
    for (const bin of [[0, 0, 5], [5, 5, 2], [0.01, 0.0106, 1], [-3, -2, 4]] as Bin[]) {
      const { bars, total } = binsFor([bin], [0.1, 0.25]);
      expect(bars.reduce((sum, { count }) => sum + count, 0)).toBeCloseTo(total, 6);
      for (const { lower, upper } of bars) expect(upper).toBeGreaterThan(lower);
    }
  });
});

describe('the mean load', () => {
  const load = (data: object) => ({ data }) as unknown as EventDocument;
  const parts = { redirect: 0, dns: 10, tcp: 20, tls: 30, request: 100, response: 40, dom_interactive: 500, dom_complete: 900, load: 950, visibility: 'visible' };

  it('puts its parts one after the other, up to the load event', () => {
    const { count, phases } = meanPhases([load(parts), load({ ...parts, dom_complete: 1100, load: 1150 })]);
    expect(count).toBe(2);
    expect(phases.map(({ phase, start, duration }) => [phase, start, duration])).toEqual([
      ['redirect', 0, 0], ['dns', 0, 10], ['tcp', 10, 20], ['tls', 30, 30], ['request', 60, 100], ['response', 160, 40], ['interactive', 200, 300], ['complete', 500, 500], ['loadEvent', 1000, 50],
    ]);
  });

  it('leaves out hidden pages and what lacks a part', () => {
    expect(meanPhases([load({ ...parts, visibility: 'hidden' }), load({ ...parts, dns: null }), load({ ...parts, load: -1 }), { data: null } as unknown as EventDocument]).count).toBe(0);
  });
});

describe('a table as CSV', () => {
  it('runs nothing behind blanks, nor what is written full-width, as the service has it', () => {
    for (const cell of [' =HYPERLINK("http://x")', '\u00a0+1', '\ufeff -1', '\n=1', '\0=1', '\uff1d1', '  \uff20a', '\t1']) expect(csvOf([cell], [])).toMatch(/^"?'/);
    for (const cell of [' a=1', '/cart', '   ']) expect(csvOf([cell], [])).toBe(`${cell}\r\n`);
  });

  it('is read back as it was, and runs nothing in a spreadsheet', () => {
    const text = csvOf(['a', 'b'], [['x,y', 1.5], ['say "no"', null], ['=cmd()', -2], ['@a', 3]]);
    expect(text.split('\r\n')).toEqual(['a,b', '"x,y",1.5', '"say ""no""",', "'=cmd(),-2", "'@a,3", '']);
  });
});

describe('the names of marks', () => {
  const marks = (...indexes: number[]) => new Map(indexes.map((index) => [index, [`5.${index}.0`]]));
  const textsOf = (written: ReturnType<typeof markNames>) => [...written].map(([index, { text }]) => [index, text]);
  const reach = (index: number, { text, align }: MarkName, pixels: number) => {
    const [at, width] = [(index + 0.5) * pixels, text.length * 6.2];
    const from = at - { left: 0, center: width / 2, right: width }[align];
    return [from, from + width] as const;
  };

  it('are all written where there is room', () => {
    expect(textsOf(markNames(marks(3, 10, 20), 30, 10))).toEqual([[3, '5.3.0'], [10, '5.10.0'], [20, '5.20.0']]);
  });

  it('are counted where one would be written over another', () => {
    expect(textsOf(markNames(marks(1, 2, 3, 20), 30, 10))).toEqual([[1, '5.1.0 +2'], [20, '5.20.0']]);
    expect(textsOf(markNames(new Map([[4, ['a', 'b']], [2, ['a name of very many letters']]]), 6, 100))).toEqual([[2, 'a name of very m…'], [4, 'a +1']]);
  });

  it('stand beside the first and the last marks where half of them would be cut off', () => {
    expect([...markNames(marks(0, 10, 19), 20, 12)].map(([index, { align }]) => [index, align])).toEqual([[0, 'left'], [10, 'center'], [19, 'right']]);
    expect([...markNames(marks(0, 1), 2, 200)].map(([, { align }]) => align)).toEqual(['center', 'center']);
    // One that goes to the left of its mark needs the room of two halves there.
    expect(textsOf(markNames(marks(13, 19), 20, 10))).toEqual([[13, '5.13.0 +1']]);
  });

  it('keep their room: a name that became longer takes the next one in, and none leaves the chart', () => {
    for (const pixels of [7, 10, 24]) {
      const written = [...markNames(marks(0, 1, 5, 6, 11, 12, 17, 23, 28, 29), 30, pixels)];
      for (const [n, [index, name]] of written.entries()) {
        const [from, to] = reach(index, name, pixels);
        expect(from).toBeGreaterThanOrEqual(0);
        expect(to).toBeLessThanOrEqual(30 * pixels);
        const next = written[n + 1];
        if (next) expect(reach(...next, pixels)[0]).toBeGreaterThan(to);
      }
      expect(written.map(([, { text }]) => 1 + Number(text.split('+')[1] ?? 0)).reduce((sum, count) => sum + count)).toBe(10);
    }
  });
});
