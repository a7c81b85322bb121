/** A course in little: SVG, so that a hundred of them in a list cost nothing. Says nothing that is not said in numbers beside it. */
export function Sparkline({ values, kind = 'line', width = 120, height = 32 }: { values: readonly (number | null)[]; kind?: 'line' | 'bars'; width?: number; height?: number }) {
  const numbers = values.filter((value): value is number => value !== null);
  const top = Math.max(...numbers, 0);
  if (numbers.length === 0 || top === 0) {
    return <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true"><line x1="0" x2={width} y1={height - 1} y2={height - 1} class="spark-base" /></svg>;
  }
  const y = (value: number) => height - 2 - (value / top) * (height - 4);
  if (kind === 'bars') {
    const each = width / values.length;
    return (
      <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
        <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} class="spark-base" />
        {values.map((value, index) => value ? <rect key={index} x={index * each + each * 0.12} width={each * 0.76} y={y(value)} height={height - y(value)} class="spark-bar" /> : null)}
      </svg>
    );
  }
  // Steps without samples interrupt nothing: the line goes on to the next one that has any.
  const x = (index: number) => (values.length > 1 ? (index / (values.length - 1)) * width : width / 2);
  const points = values.flatMap((value, index) => (value === null ? [] : [`${x(index).toFixed(1)},${y(value).toFixed(1)}`]));
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.length === 1 ? `${points[0]} ${points[0]}` : points.join(' ')} class="spark-line" />
    </svg>
  );
}
