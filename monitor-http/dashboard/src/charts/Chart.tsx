import type { EChartsType } from 'echarts/core';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Stats } from '../api/types.ts';
import { t } from '../i18n/frame.ts';
import { language } from '../i18n/index.ts';
import { csvOf, download } from '../lib/csv.ts';
import { formatStepFull, stepInFile } from '../lib/format.ts';
import { dark } from '../state/store.ts';
import { Card, Skeleton } from '../ui/bits.tsx';
import { Icon } from '../ui/Icon.tsx';
import { TableButton } from '../ui/TableButton.tsx';
import type { ChartSpec } from './spec.ts';

const drawing = () => import('./echarts.ts');

interface Props {
  spec: ChartSpec;
  actions?: ComponentChildren;
  height?: number;
  stats?: readonly Stats[] | undefined;
  class?: string;
}

/** A card with a chart that can be turned into the table of its numbers. */
export function Chart({ spec, actions, height = 260, stats, class: name = '' }: Props) {
  const [asTable, setAsTable] = useState(false);
  return (
    <Card title={spec.title} stats={stats} actions={<>{actions}<TableButton title={spec.title} asTable={asTable} toggle={() => setAsTable(!asTable)} /></>} class={`chart-card ${name}`}>
      <ul class="legend" aria-hidden="true">
        {spec.panels.flatMap((panel) => panel.series).map((series) => <li key={series.name}><span class={`legend-mark shape-${series.dashed ? 'dashed' : series.kind} mark-${series.color}`} />{series.name}</li>)}
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
  const written = language.value;

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
  }, [spec, isDark, written, state]);

  return (
    <div class="chart" style={{ height: `${height}px` }}>
      <div class="chart-canvas" ref={element} role="img" aria-label={t('chartLabel', { title: spec.title })} />
      {state === 'loading' && <div class="chart-over"><Skeleton height={height} /></div>}
      {state === 'failed' && <p class="chart-over muted">{t('chartFailed')}</p>}
    </div>
  );
}

function ChartTable({ spec, height }: { spec: ChartSpec; height: number }) {
  const columns = spec.panels.flatMap((panel) => panel.series.map((series) => ({ series, format: panel.format })));
  const marks = spec.marks ?? [];
  const marked = (time: number) => marks.filter((mark) => mark.time >= time && mark.time < time + spec.step).map(({ label }) => label).join(', ');

  function save() {
    const rows = spec.times.map((time, index) => [stepInFile(time, spec.step, spec.zone), ...columns.map(({ series }) => series.values[index] ?? null)]);
    download(`${spec.title}.csv`, new Blob([csvOf([t('time'), ...columns.map(({ series }) => series.name)], rows)], { type: 'text/csv;charset=utf-8' }));
  }
  return (
    <>
      <div class="table-scroll" style={{ height: `${height - 28}px` }} tabIndex={0} role="region" aria-label={t('tableLabel', { title: spec.title })}>
        <table class="table">
          <caption class="sr">{spec.title}</caption>
          <thead><tr><th scope="col">{t('time')}</th>{columns.map(({ series }) => <th scope="col" class="num" key={series.name}>{series.name}</th>)}</tr></thead>
          <tbody>
            {spec.times.map((time, index) => (
              <tr key={time}><th scope="row">{formatStepFull(time, spec.step, spec.zone)}{marked(time) && <span class="tag">{marked(time)}</span>}</th>{columns.map(({ series, format }) => <td class="num" key={series.name}>{format(series.values[index] ?? null)}</td>)}</tr>
            )).reverse()}
          </tbody>
        </table>
      </div>
      <p class="table-foot"><span /><button type="button" class="link table-csv" aria-label={t('downloadCsv', { name: spec.title })} onClick={save}><Icon name="download" />{t('csv')}</button></p>
    </>
  );
}
