/** What a chart shows, apart from how it is drawn: the drawing and the table beside it are made from the same numbers. */
export interface ChartSpec {
  title: string;
  /** Starts of the steps, ms since the epoch. */
  times: number[];
  step: number;
  /** That of the steps, as in the window: days are called by it. */
  zone: number;
  /** Whether the last step is still running, so that its counts are not yet whole. */
  partial: boolean;
  /** Drawn below each other over one time axis: things of different size never share an axis. */
  panels: Panel[];
  /** What happened at a time, such as a release: a line through all panels with its name. */
  marks?: Mark[];
}

export interface Mark {
  time: number;
  label: string;
}

export interface Panel {
  series: Series[];
  format(value: number | null): string;
  /** How the labels of its axis are written; as the values without it. */
  tick?(value: number): string;
  /** Dashed lines, such as the limits of a band. */
  limits?: { value: number; label: string; legend: string; color: ColorToken }[];
  /** Share of the height, relative to the other panels. */
  weight?: number;
  /** Largest value of the axis: 1 for shares. */
  max?: number;
}

export interface Series {
  name: string;
  kind: 'line' | 'bar' | 'area';
  color: ColorToken;
  values: (number | null)[];
  /** Bars and areas of one stack are put on top of each other. */
  stack?: string;
  /** For what is not of the range itself, like the period before. */
  dashed?: boolean;
}

/** Those of a chart whose series mean nothing by themselves: told apart with every kind of colour blindness (Okabe and Ito), in this order. */
export const CATEGORIES = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8'] as const;

/** Names of custom properties of the style sheet, without the dashes. */
export type ColorToken = 'views' | 'good' | 'warn' | 'poor' | 'accent' | 'requests' | 'muted' | (typeof CATEGORIES)[number];

/** The colour of the n-th series. */
export function categoryColor(index: number): ColorToken {
  return CATEGORIES[index % CATEGORIES.length]!;
}
