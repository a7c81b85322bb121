// The only file that names ECharts, and only what the charts use of it: it becomes a chunk of its own, loaded with the first chart.

import { BarChart, LineChart } from 'echarts/charts';
import { AxisPointerComponent, GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components';
import { init, use, type EChartsType } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { formatCompact, formatDateTime, formatStep } from '../lib/format.ts';
import type { ChartSpec, ColorToken, Panel } from './spec.ts';

use([BarChart, LineChart, GridComponent, TooltipComponent, MarkLineComponent, AxisPointerComponent, CanvasRenderer]);

export function createChart(element: HTMLElement): EChartsType {
  return init(element, null, { renderer: 'canvas' });
}

const shapes = new WeakMap<EChartsType, string>();

export function drawChart(chart: EChartsType, spec: ChartSpec): void {
  // New numbers of the same chart are merged, which keeps what is under the pointer; another chart replaces everything.
  const shape = JSON.stringify([spec.title, spec.panels.map((panel) => panel.series.map(({ name }) => name))]);
  chart.setOption(optionOf(spec, paletteOf(chart.getDom())), { notMerge: shapes.get(chart) !== shape });
  shapes.set(chart, shape);
}

type Palette = Record<ColorToken | 'text-muted' | 'grid' | 'surface', string>;

function paletteOf(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    views: color('views'), requests: color('requests'), good: color('good-fill'), warn: color('warn-fill'), poor: color('poor-fill'), accent: color('accent'),
    'text-muted': color('text-muted'), grid: color('grid'), surface: color('surface'),
  };
}

const GAP = 10;
const AXIS = 24;

function optionOf(spec: ChartSpec, palette: Palette) {
  const weights = spec.panels.map((panel) => panel.weight ?? 1);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let before = 0;
  const places = weights.map((weight) => {
    const place = { top: before / total, bottom: 1 - (before + weight) / total };
    before += weight;
    return place;
  });
  // Limits are named at their right end, outside; every panel keeps the same width.
  const right = spec.panels.some((panel) => panel.limits) ? 44 : 12;
  const lastPanel = spec.panels.length - 1;
  const font = { color: palette['text-muted'], fontSize: 11 };
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    // Percentages of the height, with room for the axis below the last panel.
    grid: places.map((place, index) => ({
      // The margins are fixed: moved apart by their own labels, the panels would no longer share one time axis.
      outerBoundsMode: 'none', left: 58, right, top: `${place.top * 88 + 3}%`, bottom: `${place.bottom * 88 + 9}%`,
      ...(index < lastPanel ? { bottom: `${place.bottom * 88 + 9 + GAP / 2}%` } : {}), ...(spec.panels.length === 1 ? { top: 12, bottom: AXIS } : {}),
    })),
    axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: palette['text-muted'], type: 'solid', width: 1, opacity: 0.5 }, label: { show: false } },
    tooltip: {
      trigger: 'axis', confine: true, transitionDuration: 0, className: 'chart-tip', backgroundColor: palette.surface, borderColor: palette.grid, borderWidth: 1, padding: 10, extraCssText: '',
      // An element, never text: the names of series may come from events, and text would be read as HTML.
      formatter: (params: unknown) => tipOf(spec, palette, (Array.isArray(params) ? params[0] : params) as { dataIndex?: number }),
    },
    xAxis: spec.panels.map((_, index) => ({
      type: 'category', gridIndex: index, data: spec.times.map((time) => formatStep(time, spec.step)), boundaryGap: true,
      axisLine: { lineStyle: { color: palette.grid } }, axisTick: { show: false },
      axisLabel: { ...font, show: index === lastPanel, hideOverlap: true, alignMaxLabel: 'right', interval: labelEvery(spec.times.length) },
    })),
    yAxis: spec.panels.map((panel, index) => ({
      type: 'value', gridIndex: index, splitNumber: panel.weight !== undefined && panel.weight < 1 ? 2 : 3, min: 0,
      ...(counts(panel) ? { minInterval: 1 } : {}),
      axisLabel: { ...font, formatter: (value: number) => (counts(panel) ? formatCompact(value) : panel.format(value)) },
      splitLine: { lineStyle: { color: palette.grid } },
    })),
    series: spec.panels.flatMap((panel, index) => panel.series.map((series, order) => ({
      name: series.name, xAxisIndex: index, yAxisIndex: index, data: series.values, color: palette[series.color],
      ...(series.kind === 'bar'
        ? { type: 'bar', barMaxWidth: 18, barCategoryGap: '24%', ...(series.stack ? { stack: series.stack } : {}) }
        : {
            type: 'line', symbol: 'circle', symbolSize: 5, showSymbol: isolated(series.values), lineStyle: { width: 2 }, connectNulls: false,
          }),
      ...(order === 0 && panel.limits ? { markLine: limitsOf(panel, palette) } : {}),
    }))),
  };
}

function limitsOf(panel: Panel, palette: Palette) {
  return {
    silent: true, symbol: 'none',
    data: (panel.limits ?? []).map((limit) => ({
      yAxis: limit.value, lineStyle: { color: palette[limit.color], type: 'dashed', width: 1, opacity: 0.8 },
      label: { formatter: limit.label, position: 'end', color: palette['text-muted'], fontSize: 11 },
    })),
  };
}

/** Counts have no unit of their own and no fractions. */
function counts(panel: Panel): boolean {
  return panel.format(1) === '1';
}

/** A point between two gaps has no line, so it needs a symbol. */
function isolated(values: readonly (number | null)[]): boolean {
  return values.some((value, index) => value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null);
}

function labelEvery(count: number): number {
  return Math.max(0, Math.ceil(count / 8) - 1);
}

function tipOf(spec: ChartSpec, palette: Palette, { dataIndex = 0 }: { dataIndex?: number }): HTMLElement {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.append(textElement('div', 'tip-time', formatDateTime(spec.times[dataIndex]) + (spec.partial && dataIndex === spec.times.length - 1 ? ', so far' : '')));
  for (const panel of spec.panels) {
    for (const series of panel.series) {
      const row = textElement('div', 'tip-row', '');
      const mark = textElement('span', 'tip-mark', '');
      mark.style.backgroundColor = palette[series.color];
      row.append(mark, textElement('span', 'tip-name', series.name), textElement('span', 'tip-value', panel.format(series.values[dataIndex] ?? null)));
      tip.append(row);
    }
  }
  return tip;
}

function textElement(tag: string, name: string, text: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}
