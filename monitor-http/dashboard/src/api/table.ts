import type { Cell, Table } from './types.ts';

export type Row = Record<string, Cell>;

/** The rows by column name. A row shorter than the columns reads as `null`. */
export function rowsOf(table: Table): Row[] {
  return named(table.columns, table.rows);
}

/** Those of the whole range, or of the period before; `null` when they were not asked for. */
export function partOf(table: Table, part: 'totals' | 'previous'): Row[] | null {
  const rows = table[part];
  return rows ? named(table.columns, rows) : null;
}

function named(columns: readonly string[], rows: readonly Cell[][]): Row[] {
  return rows.map((cells) => {
    const row: Row = Object.create(null);
    columns.forEach((column, index) => { row[column] = cells[index] ?? null; });
    return row;
  });
}

export function numberOf(row: Row | undefined, column: string): number | null {
  const cell = row?.[column];
  return typeof cell === 'number' && Number.isFinite(cell) ? cell : null;
}

/** For counts: no row means that nothing was counted. */
export function countOf(row: Row | undefined, column: string): number {
  return numberOf(row, column) ?? 0;
}

export function textOf(row: Row | undefined, column: string): string {
  const cell = row?.[column];
  return cell == null || Array.isArray(cell) ? '' : String(cell);
}

/** One value per step; steps without a row get `missing`: 0 for counts, `null` for percentiles. */
export function seriesOf<Missing extends number | null>(rows: readonly Row[], times: readonly number[], column: string, missing: Missing): (number | Missing)[] {
  const byTime = new Map<number, number>();
  for (const row of rows) {
    const time = numberOf(row, 'time');
    const value = numberOf(row, column);
    if (time !== null && value !== null) byTime.set(time, value);
  }
  return times.map((time) => byTime.get(time) ?? missing);
}

/** The rows of another time, moved to this one. */
export function moved(rows: readonly Row[], by: number): Row[] {
  return rows.map((row) => ({ ...row, time: (numberOf(row, 'time') ?? 0) + by }));
}

/** Sums a measure per value of one of several group columns, largest first. */
export function totalsBy(rows: readonly Row[], column: string, measure = 'count'): { value: string; count: number }[] {
  const totals = new Map<string, number>();
  for (const row of rows) {
    const value = textOf(row, column);
    totals.set(value, (totals.get(value) ?? 0) + countOf(row, measure));
  }
  return [...totals].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count || a.value.localeCompare(b.value));
}

/** Of an answer with facets the values of one of them, largest first. */
export function facetOf(rows: readonly Row[], column: string, measure = 'count'): { value: string; count: number }[] {
  return totalsBy(rows.filter((row) => row[column] !== null), column, measure);
}

export function groupedBy(rows: readonly Row[], column: string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const value = textOf(row, column);
    const group = groups.get(value);
    if (group) group.push(row);
    else groups.set(value, [row]);
  }
  return groups;
}

/** The numbers of a `spark`. */
export function numbersOf(row: Row | undefined, column: string): number[] {
  const cell = row?.[column];
  return Array.isArray(cell) ? cell.filter((value): value is number => typeof value === 'number') : [];
}

export type Bin = readonly [lower: number, upper: number, count: number];

/** The bins of a `histogram`, upwards. */
export function binsOf(row: Row | undefined, column = 'histogram'): Bin[] {
  const cell = row?.[column];
  if (!Array.isArray(cell)) return [];
  return cell.flatMap((bin) => {
    const [lower, upper, count] = Array.isArray(bin) ? bin : [];
    return typeof lower === 'number' && typeof upper === 'number' && typeof count === 'number' ? [[lower, upper, count] as const] : [];
  });
}
