// The only file that names ECharts, and only what the charts use of it: it becomes a chunk of its own, loaded with the first chart.

import { BarChart, LineChart } from 'echarts/charts';
import { AxisPointerComponent, GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components';
import { init, use, type EChartsType } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { t } from '../i18n/frame.ts';
import { formatCompact, formatStep, formatStepFull } from '../lib/format.ts';
import { markNames } from '../lib/mark-names.ts';
import { CATEGORIES, type ChartSpec, type ColorToken, type Panel } from './spec.ts';

use([BarChart, LineChart, GridComponent, TooltipComponent, MarkLineComponent, AxisPointerComponent, CanvasRenderer]);

export function createChart(element: HTMLElement): EChartsType {
  return init(element, null, { renderer: 'canvas' });
}

const shapes = new WeakMap<EChartsType, string>();

export function drawChart(chart: EChartsType, spec: ChartSpec): void {
  // New numbers of the same chart are merged, which keeps what is under the pointer; another chart replaces everything.
  const shape = JSON.stringify([spec.title, spec.panels.map((panel) => panel.series.map(({ name }) => name))]);
  chart.setOption(optionOf(spec, paletteOf(chart.getDom()), chart.getWidth()), { notMerge: shapes.get(chart) !== shape });
  shapes.set(chart, shape);
}

type Palette = Record<ColorToken | 'text-muted' | 'grid' | 'surface' | 'border-strong', string>;

function paletteOf(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const categories = Object.fromEntries(CATEGORIES.map((name) => [name, color(name)])) as Record<(typeof CATEGORIES)[number], string>;
  return {
    ...categories,
    views: color('views'), requests: color('requests'), good: color('good-fill'), warn: color('warn-fill'), poor: color('poor-fill'), accent: color('accent'), muted: color('muted-fill'),
    'text-muted': color('text-muted'), grid: color('grid'), surface: color('surface'), 'border-strong': color('border-strong'),
  };
}

const GAP = 18;
/** Room for the numbers of the axes. */
const LEFT = 58;
const AXIS = 24;
/** Room for the names of the marks, above the first panel. */
const MARKS = 16;

function optionOf(spec: ChartSpec, palette: Palette, width: number) {
  const weights = spec.panels.map((panel) => panel.weight ?? 1);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let before = 0;
  const places = weights.map((weight) => {
    const place = { top: before / total, bottom: 1 - (before + weight) / total };
    before += weight;
    return place;
  });
  // Limits are named at their right end, outside; every panel keeps the same width.
  const right = spec.panels.some((panel) => panel.limits?.length) ? 44 : 12;
  const lastPanel = spec.panels.length - 1;
  const font = { color: palette['text-muted'], fontSize: 11 };
  const every = labelEvery(spec.times.length, width);
  const above = spec.marks?.length ? MARKS : 0;
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    // Percentages of the height, with room for the axis below the last panel.
    grid: places.map((place, index) => ({
      // The margins are fixed: moved apart by their own labels, the panels would no longer share one time axis.
      outerBoundsMode: 'none', left: LEFT, right, top: index === 0 && above ? 12 + above : `${place.top * 88 + 3}%`, bottom: `${place.bottom * 88 + 9}%`,
      ...(index < lastPanel ? { bottom: `${place.bottom * 88 + 9 + GAP / 2}%` } : {}), ...(spec.panels.length === 1 ? { top: 12 + above, bottom: AXIS } : {}),
    })),
    axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: palette['text-muted'], type: 'solid', width: 1, opacity: 0.5 }, label: { show: false } },
    tooltip: {
      trigger: 'axis', confine: true, transitionDuration: 0, className: 'chart-tip', backgroundColor: palette.surface, borderColor: palette.grid, borderWidth: 1, padding: 10, extraCssText: '',
      // An element, never text: the names of series may come from events, and text would be read as HTML.
      formatter: (params: unknown) => tipOf(spec, palette, (Array.isArray(params) ? params[0] : params) as { dataIndex?: number }),
    },
    xAxis: spec.panels.map((_, index) => ({
      type: 'category', gridIndex: index, data: spec.times.map((time, at) => axisLabel(spec, time, at % every === 0 ? spec.times[at - every] : spec.times[at - 1])), boundaryGap: true,
      axisLine: { lineStyle: { color: palette.grid } }, axisTick: { show: false },
      axisLabel: { ...font, show: index === lastPanel, hideOverlap: true, alignMaxLabel: 'right', interval: every - 1 },
    })),
    yAxis: spec.panels.map((panel, index) => ({
      type: 'value', gridIndex: index, splitNumber: panel.weight !== undefined && panel.weight < 1 ? 2 : 3, min: 0, ...(panel.max === undefined ? {} : { max: panel.max }),
      ...(counts(panel) ? { minInterval: 1 } : {}),
      axisLabel: { ...font, formatter: (value: number) => (panel.tick ? panel.tick(value) : counts(panel) ? formatCompact(value) : panel.format(value)) },
      splitLine: { lineStyle: { color: palette.grid } },
    })),
    series: spec.panels.flatMap((panel, index) => panel.series.map((series, order) => ({
      name: series.name, xAxisIndex: index, yAxisIndex: index, data: series.values, color: palette[series.color],
      ...(series.kind === 'bar'
        ? { type: 'bar', barMaxWidth: 18, barCategoryGap: '24%', ...(series.stack ? { stack: series.stack } : {}) }
        : {
            type: 'line', symbol: 'circle', symbolSize: 5, showSymbol: isolated(series.values), showAllSymbol: true, connectNulls: false,
            lineStyle: { width: series.dashed ? 1.5 : 2, type: series.dashed ? 'dashed' : 'solid' }, z: series.dashed ? 1 : 2, ...(series.stack ? { stack: series.stack } : {}),
            ...(series.kind === 'area' ? { areaStyle: { opacity: series.stack ? 0.7 : 0.14 } } : {}),
          }),
      ...(order === 0 ? { markLine: linesOf(spec, panel, palette, index === 0 ? (width - LEFT - right) / spec.times.length : null) } : {}),
    }))),
  };
}

/** Limits of bands across, and marks upright; the marks' names stand above the first panel, whose steps are `pixels` wide. */
function linesOf(spec: ChartSpec, panel: Panel, palette: Palette, pixels: number | null) {
  const marks = new Map<number, string[]>();
  for (const { time, label } of spec.marks ?? []) {
    const index = stepAt(spec.times, time);
    if (index >= 0) marks.set(index, [...(marks.get(index) ?? []), label]);
  }
  const names = pixels === null ? null : markNames(marks, spec.times.length, pixels);
  return {
    silent: true, symbol: 'none',
    data: [
      ...(panel.limits ?? []).map((limit) => ({
        yAxis: limit.value, lineStyle: { color: palette[limit.color], type: 'dashed', width: 1, opacity: 0.8 },
        label: { formatter: limit.label, position: 'end', color: palette['text-muted'], fontSize: 11 },
      })),
      ...[...marks.keys()].map((index) => ({
        xAxis: index, lineStyle: { color: palette['text-muted'], type: 'solid', width: 1, opacity: 0.55 },
        // A function, as a text would be read for placeholders; the names of releases are whatever the sender chose.
        label: { show: names?.has(index) ?? false, formatter: () => names?.get(index)?.text ?? '', position: 'end', align: names?.get(index)?.align ?? 'center', color: palette['text-muted'], fontSize: 11, distance: 3 },
      })),
    ],
  };
}

/** The step that a time falls into, -1 before the first. */
function stepAt(times: readonly number[], time: number): number {
  const after = times.findIndex((start) => start > time);
  return (after < 0 ? times.length : after) - 1;
}

/** Counts have no unit of their own and no fractions. */
function counts(panel: Panel): boolean {
  return panel.format(1) === '1';
}

/** A point between two gaps has no line, so it needs a symbol, also where the axis has no room for a label. */
function isolated(values: readonly (number | null)[]): boolean {
  return values.some((value, index) => value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null);
}

/** A label is about 80 px wide with its room. */
function labelEvery(count: number, width: number): number {
  return Math.max(1, Math.ceil(count / Math.max(2, Math.min(10, Math.floor(width / 80)))));
}

/** The day stands only where it is another one than at the label before. */
function axisLabel({ step, zone }: ChartSpec, time: number, before: number | undefined): string {
  const isSameDay = before !== undefined && new Date(before).toDateString() === new Date(time).toDateString();
  return step >= HOUR && step < 24 * HOUR && isSameDay ? formatStep(time, MINUTE, zone) : formatStep(time, step, zone);
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function tipOf(spec: ChartSpec, palette: Palette, { dataIndex = 0 }: { dataIndex?: number }): HTMLElement {
  const tip = document.createElement('div');
  tip.className = 'tip';
  const time = spec.times[dataIndex] ?? 0;
  tip.append(textElement('div', 'tip-time', formatStepFull(time, spec.step, spec.zone) + (spec.partial && dataIndex === spec.times.length - 1 ? `, ${t('soFar')}` : '')));
  for (const panel of spec.panels) {
    for (const series of panel.series) {
      const row = textElement('div', 'tip-row', '');
      const mark = textElement('span', series.dashed ? 'tip-mark tip-dashed' : 'tip-mark', '');
      mark.style.backgroundColor = palette[series.color];
      row.append(mark, textElement('span', 'tip-name', series.name), textElement('span', 'tip-value', panel.format(series.values[dataIndex] ?? null)));
      tip.append(row);
    }
  }
  for (const { label } of (spec.marks ?? []).filter((mark) => stepAt(spec.times, mark.time) === dataIndex)) tip.append(textElement('div', 'tip-event', label));
  return tip;
}

function textElement(tag: string, name: string, text: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}
