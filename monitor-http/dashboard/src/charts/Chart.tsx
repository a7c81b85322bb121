import type { EChartsType } from 'echarts/core';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatDateTime } from '../lib/format.ts';
import { dark } from '../state/store.ts';
import { Card, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import type { ChartSpec } from './spec.ts';

const drawing = () => import('./echarts.ts');

/** A card with a chart that can be turned into the table of its numbers. */
export function Chart({ spec, actions, height = 260 }: { spec: ChartSpec; actions?: ComponentChildren; height?: number }) {
  const [asTable, setAsTable] = useState(false);
  const toggle = (
    <button type="button" class="button button-icon" aria-pressed={asTable} title={asTable ? 'Show as chart' : 'Show as table'} onClick={() => setAsTable(!asTable)}>
      <Icon name={asTable ? 'chart' : 'table'} /><span class="sr">{spec.title}: show as table</span>
    </button>
  );
  return (
    <Card title={spec.title} actions={<>{actions}{toggle}</>} class="chart-card">
      <ul class="legend" aria-hidden="true">
        {spec.panels.flatMap((panel) => panel.series).map((series) => <li key={series.name}><span class={`legend-mark mark-${series.color}`} />{series.name}</li>)}
        {spec.panels.flatMap((panel) => panel.limits ?? []).map((limit) => <li key={limit.label}><span class={`legend-line line-${limit.color}`} />{limit.legend}</li>)}
      </ul>
      {asTable ? <ChartTable spec={spec} height={height} /> : <ChartCanvas spec={spec} height={height} />}
    </Card>
  );
}

function ChartCanvas({ spec, height }: { spec: ChartSpec; height: number }) {
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType | null>(null);
  const current = useRef(spec);
  current.current = spec;
  const [state, setState] = useState<'loading' | 'ready' | 'failed'>('loading');
  const isDark = dark.value;

  useEffect(() => {
    let gone = false;
    const observer = new ResizeObserver(() => chart.current?.resize());
    drawing().then(({ createChart }) => {
      if (gone || !element.current) return;
      chart.current = createChart(element.current);
      observer.observe(element.current);
      setState('ready');
    }, () => { if (!gone) setState('failed'); });
    return () => {
      gone = true;
      observer.disconnect();
      chart.current?.dispose();
      chart.current = null;
    };
  }, []);

  useEffect(() => {
    if (state !== 'ready') return;
    void drawing().then(({ drawChart }) => { if (chart.current) drawChart(chart.current, current.current); });
  }, [spec, isDark, state]);

  return (
    <div class="chart" style={{ height: `${height}px` }}>
      <div class="chart-canvas" ref={element} role="img" aria-label={`${spec.title}, chart. The numbers are available as a table.`} />
      {state === 'loading' && <div class="chart-over"><Skeleton height={height} /></div>}
      {state === 'failed' && <p class="chart-over muted">The chart could not be loaded; the table has the numbers.</p>}
    </div>
  );
}

function ChartTable({ spec, height }: { spec: ChartSpec; height: number }) {
  const columns = spec.panels.flatMap((panel) => panel.series.map((series) => ({ series, format: panel.format })));
  return (
    <div class="table-scroll" style={{ height: `${height}px` }} tabIndex={0} role="region" aria-label={`${spec.title}, table`}>
      <table class="table">
        <caption class="sr">{spec.title}</caption>
        <thead><tr><th scope="col">Time</th>{columns.map(({ series }) => <th scope="col" class="num" key={series.name}>{series.name}</th>)}</tr></thead>
        <tbody>
          {spec.times.map((time, index) => (
            <tr key={time}><th scope="row">{formatDateTime(time)}</th>{columns.map(({ series, format }) => <td class="num" key={series.name}>{format(series.values[index] ?? null)}</td>)}</tr>
          )).reverse()}
        </tbody>
      </table>
    </div>
  );
}
