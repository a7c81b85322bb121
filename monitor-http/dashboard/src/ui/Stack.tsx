import { useState } from 'preact/hooks';
import type { Exception, Frame } from '../api/types.ts';
import { t } from '../i18n/errors.ts';
import { safeUrl } from '../lib/safe-url.ts';
import { foldedFrames, originOf, placeOf } from '../lib/stack.ts';
import { Card, CopyButton, Empty, MaybeLink, Segments } from './bits.tsx';
import { Icon } from './Icon.tsx';

type Mode = 'own' | 'all' | 'raw';

const ROLES = { error: 'stack', cause: 'causedBy', inner: 'contains' } as const;

/** One error with its frames, and its stack as the browser wrote it. */
export function Stack({ exception: { role, name, message, frames }, stack, target }: { exception: Exception; stack: string; target: string }) {
  const own = frames.filter((frame) => originOf(frame) === 'own').length;
  const [mode, setMode] = useState<Mode>('own');
  const modes = [
    ...(own > 0 && own < frames.length ? [{ value: 'own' as const, label: t('relevant') }] : []),
    ...(frames.length > 0 ? [{ value: 'all' as const, label: t('allFrames') }] : []),
    { value: 'raw' as const, label: t('raw') },
  ];
  const shown = modes.find(({ value }) => value === mode)?.value ?? modes[0]!.value;
  return (
    <Card title={t(ROLES[role])} actions={stack && <><Segments<Mode> label={t('viewOfStack')} options={modes} value={shown} onChange={setMode} /><CopyButton text={stack} /></>}>
      {role !== 'error' && <p class="exception"><strong class="error-name">{name || t('unnamed')}</strong><span class="exception-message">{message || t('noMessage')}</span></p>}
      {!stack ? role === 'error' && <Empty title={t('noStack')}>{target && <>{t('about')} <MaybeLink text={target} /></>}</Empty>
        : shown === 'raw' ? <pre class="raw" tabIndex={0}>{stack}</pre>
        : <ol class="frames">{shown === 'all' ? frames.map((frame, index) => <FrameRow key={index} frame={frame} />)
          : foldedFrames(frames).map((part, index) => (Array.isArray(part) ? <Folded key={index} frames={part} /> : <FrameRow key={index} frame={part} />))}</ol>}
    </Card>
  );
}

/** Frames that are not of the application, in one row until one asks for them. */
function Folded({ frames }: { frames: Frame[] }) {
  const [open, setOpen] = useState(false);
  if (open) return <>{frames.map((frame, index) => <FrameRow key={index} frame={frame} />)}</>;
  return <li class="frame frame-folded"><button type="button" class="link" onClick={() => setOpen(true)}><Icon name="chevron" />{t('folded', { n: frames.length })}</button></li>;
}

function FrameRow({ frame }: { frame: Frame }) {
  const origin = originOf(frame);
  const place = placeOf(frame);
  const href = safeUrl(frame.file);
  return (
    <li class={`frame frame-${origin}`} title={frame.file}>
      <span class="frame-function">{frame.async && <span class="muted">async </span>}{frame.function || t('anonymous')}</span>
      {origin !== 'own' && <span class="tag">{t(origin)}</span>}
      {frame.eval && <span class="tag">eval</span>}
      {place && (href ? <a class="frame-place" href={href} target="_blank" rel="noopener noreferrer">{place}</a> : <span class="frame-place">{place}</span>)}
    </li>
  );
}
