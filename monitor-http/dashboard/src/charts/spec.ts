/** What a chart shows, apart from how it is drawn: the drawing and the table beside it are made from the same numbers. */
export interface ChartSpec {
  title: string;
  /** Starts of the steps, ms since the epoch. */
  times: number[];
  step: number;
  /** Whether the last step is still running, so that its counts are not yet whole. */
  partial: boolean;
  /** Drawn below each other over one time axis: things of different size never share an axis. */
  panels: Panel[];
}

export interface Panel {
  series: Series[];
  format(value: number | null): string;
  /** Dashed lines, such as the limits of a band. */
  limits?: { value: number; label: string; legend: string; color: ColorToken }[];
  /** Share of the height, relative to the other panels. */
  weight?: number;
}

export interface Series {
  name: string;
  kind: 'line' | 'bar';
  color: ColorToken;
  values: (number | null)[];
  /** Bars of one stack are put on top of each other. */
  stack?: string;
}

/** Names of custom properties of the style sheet, without the dashes. */
export type ColorToken = 'views' | 'good' | 'warn' | 'poor' | 'accent' | 'requests';
