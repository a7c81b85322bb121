import { useState } from 'preact/hooks';
import type { Exception, Frame } from '../api/types.ts';
import { safeUrl } from '../lib/safe-url.ts';
import { originOf, placeOf } from '../lib/stack.ts';
import { Card, CopyButton, Empty, MaybeLink, Segments } from './bits.tsx';

type Mode = 'all' | 'own' | 'raw';

const ROLES = { error: 'Stack', cause: 'Caused by', inner: 'Contains' };

/** One error with its frames, and its stack as the browser wrote it. */
export function Stack({ exception: { role, name, message, frames }, stack, target }: { exception: Exception; stack: string; target: string }) {
  const own = frames.filter((frame) => originOf(frame) === 'own');
  const [mode, setMode] = useState<Mode>('all');
  const modes = [
    ...(frames.length > 0 ? [{ value: 'all' as const, label: 'All frames' }] : []),
    ...(own.length > 0 && own.length < frames.length ? [{ value: 'own' as const, label: 'Own code' }] : []),
    { value: 'raw' as const, label: 'Raw' },
  ];
  const shown = modes.some(({ value }) => value === mode) ? mode : 'raw';
  return (
    <Card title={ROLES[role]} actions={stack && <><Segments<Mode> label="View of the stack" options={modes} value={shown} onChange={setMode} /><CopyButton text={stack} /></>}>
      {role !== 'error' && <p class="exception"><strong class="error-name">{name || '(unnamed)'}</strong><span class="exception-message">{message || '(no message)'}</span></p>}
      {!stack ? role === 'error' && <Empty title="This error came without a stack">{target && <>It is about <MaybeLink text={target} /></>}</Empty>
        : shown === 'raw' ? <pre class="raw" tabIndex={0}>{stack}</pre>
        : <ol class="frames">{(shown === 'own' ? own : frames).map((frame, index) => <FrameRow key={index} frame={frame} />)}</ol>}
    </Card>
  );
}

function FrameRow({ frame }: { frame: Frame }) {
  const origin = originOf(frame);
  const place = placeOf(frame);
  const href = safeUrl(frame.file);
  return (
    <li class={`frame frame-${origin}`} title={frame.file}>
      <span class="frame-function">{frame.async && <span class="muted">async </span>}{frame.function || '(anonymous)'}</span>
      {origin !== 'own' && <span class="tag">{origin}</span>}
      {frame.eval && <span class="tag">eval</span>}
      {place && (href ? <a class="frame-place" href={href} target="_blank" rel="noopener noreferrer">{place}</a> : <span class="frame-place">{place}</span>)}
    </li>
  );
}
