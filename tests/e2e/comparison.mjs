// What is on the screen beside what it should be: single figures, and the tables, charts and bars that are made of them.
import assert from 'node:assert/strict';
import { says, saysChange } from './figures.mjs';

/** Compares everything there is to compare before it fails, so that all that is wrong on a page is said at once. */
export class Comparison {
  #wrong = [];
  #made = 0;

  true(holds, what) {
    this.#made += 1;
    if (!holds) this.#wrong.push(what);
  }

  same(found, wanted, what) {
    const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
    this.true(one === other, `${what}: ${one} instead of ${other}`);
  }

  figure(text, value, unit, what) {
    this.true(says(text, value, unit), `${what}: "${text}" instead of ${value} (${unit})`);
  }

  change(text, value, before, what) {
    this.true(saysChange(text, value, before), `${what}: "${text}" instead of the change from ${before} to ${value}`);
  }

  /** The figures in a sentence, in order: value and unit. */
  sentence(text, form, what, ...figures) {
    const found = form.exec(text ?? '');
    this.true(found, `${what}: "${text}"`);
    figures.forEach(([value, unit], index) => this.figure(found?.[index + 1], value, unit, what));
  }

  /** A tile: its value, how it differs from the one `before`, and the figures of its detail. */
  tile(tiles, label, unit, { value, before, detail }) {
    const tile = tiles?.[label];
    this.figure(tile?.value, value, unit, label);
    if (before !== undefined) this.change(tile?.change, value, before, `${label} against before`);
    if (detail) this.sentence(tile?.detail, detail[0], `${label}, detail`, ...detail.slice(1));
  }

  /** A chart, by the names of its series: unit, values by step, and what a step without a value has. The latest step stands first. */
  chart(tables, title, steps, series) {
    const { head, rows } = tables[title] ?? { head: [], rows: [] };
    this.same(head, ['Time', ...Object.keys(series)], `${title}, series`);
    const latest = steps.toReversed();
    this.same(rows.map(([time]) => time.text), latest.map(({ label }) => label), `${title}, steps`);
    rows.forEach((cells, row) => Object.entries(series).forEach(([name, [unit, values, missing = 0]], column) => {
      this.figure(cells[column + 1]?.text, values.get(latest[row]?.time) ?? missing, unit, `${title}, ${name} at ${cells[0].text}`);
    }));
  }

  /**
   * A list, by the names of its columns: of each row its value and unit, or its text. What has none is not compared, or was already. `key` tells from
   * the cells which row it is. The largest stand first; of rows that are alike in what they are ordered by, any may be the last that is shown.
   */
  list(table, name, { wanted, columns, key, order, most = Infinity }) {
    const { head, rows } = table ?? { head: [], rows: [] };
    this.same(head, Object.keys(columns), `${name}, columns`);
    this.same(rows.length, Math.min(most, wanted.size), `${name}, rows`);
    const orders = [...wanted.values()].map(order).sort((a, b) => b - a);
    rows.forEach((cells, place) => {
      const row = wanted.get(key(cells));
      this.true(row !== undefined, `${name}: nobody knows of "${key(cells)}"`);
      if (!row) return;
      this.same(order(row), orders[place], `${name}, order of row ${place + 1}`);
      Object.entries(columns).forEach(([column, of], index) => {
        const said = of?.(row, cells);
        if (said === undefined) return;
        const what = `${name}, ${column} of ${key(cells)}`;
        if (Array.isArray(said)) this.figure(cells[index].text, ...said, what);
        else this.same(cells[index].text, said, what);
      });
    });
  }

  /** Bars with their numbers and shares: `12 · 34%`. */
  bars(bars, name, counts, total, most) {
    const found = bars ?? [];
    const ordered = [...counts.values()].sort((a, b) => b - a);
    this.same(found.length, Math.min(most, counts.size), `${name}, bars`);
    found.forEach(({ label, text }, place) => {
      const count = counts.get(label);
      this.same(count, ordered[place], `${name}, place ${place + 1}: ${label}`);
      this.sentence(text, /^(.*) · (.*)$/, `${name}, ${label}`, [count, 'count'], [count / total, 'share']);
    });
  }

  /** Fails with all that is wrong; how many comparisons there were. */
  end() {
    assert.deepEqual(this.#wrong.slice(0, 40), [], `${this.#wrong.length} of ${this.#made} comparisons failed`);
    assert.ok(this.#made > 0, 'nothing was compared');
    return this.#made;
  }
}
