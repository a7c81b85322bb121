import { useMemo, useState } from 'preact/hooks';
import { parseStack, shortFile, type Frame } from '../lib/stack.ts';
import { safeUrl } from '../lib/safe-url.ts';
import { Card, CopyButton, Empty, MaybeLink, Segments } from './bits.tsx';

type Mode = 'all' | 'own' | 'raw';

export function Stack({ stack, target }: { stack: string; target: string }) {
  const frames = useMemo(() => parseStack(stack), [stack]);
  const own = frames.filter((frame) => frame.origin === 'own');
  const [mode, setMode] = useState<Mode>('all');
  if (!stack) {
    return <Card title="Stack"><Empty title="This error came without a stack">{target && <>It is about <MaybeLink text={target} /></>}</Empty></Card>;
  }
  const modes = [
    ...(frames.length > 0 ? [{ value: 'all' as const, label: 'All frames' }] : []),
    ...(own.length > 0 && own.length < frames.length ? [{ value: 'own' as const, label: 'Own code' }] : []),
    { value: 'raw' as const, label: 'Raw' },
  ];
  const shown = modes.some(({ value }) => value === mode) ? mode : 'raw';
  return (
    <Card title="Stack" actions={<><Segments<Mode> label="View of the stack" options={modes} value={shown} onChange={setMode} /><CopyButton text={stack} /></>}>
      {shown === 'raw'
        ? <pre class="raw" tabIndex={0}>{stack}</pre>
        : <ol class="frames">{(shown === 'own' ? own : frames).map((frame, index) => <FrameRow key={index} frame={frame} />)}</ol>}
    </Card>
  );
}

const ORIGINS = { own: '', library: 'library', extension: 'extension', native: 'native' };

function FrameRow({ frame }: { frame: Frame }) {
  const place = [shortFile(frame.file), frame.line, frame.column].filter((part) => part !== null && part !== '').join(':');
  const href = safeUrl(frame.file);
  return (
    <li class={`frame frame-${frame.origin}`} title={frame.raw}>
      <span class="frame-function">{frame.isAsync && <span class="muted">async </span>}{frame.function || '(anonymous)'}</span>
      {ORIGINS[frame.origin] && <span class="tag">{ORIGINS[frame.origin]}</span>}
      {place && (href ? <a class="frame-place" href={href} target="_blank" rel="noopener noreferrer">{place}</a> : <span class="frame-place">{place}</span>)}
    </li>
  );
}
