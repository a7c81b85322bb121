import { useState } from 'preact/hooks';
import type { Project } from '../api/types.ts';
import { t } from '../i18n/frame.ts';
import { CopyButton, Segments } from '../ui/bits.tsx';

const attribute = (text: string) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');

/** Attributes are not broken at their hyphens; the text stays the snippet. */
const unbroken = (text: string) => text.split(' ').flatMap((part, index) => [index ? ' ' : '', <span key={index}>{part}</span>]);

/** For a project that never had an event: how to send the first one. */
export function Welcome({ project }: { project: Project }) {
  const [way, setWay] = useState<'script' | 'npm'>('script');
  const base = new URL('.', document.baseURI).href;
  const snippet = way === 'script'
    ? `<script src="${attribute(base)}sdk/monitor.js" data-dsn="${attribute(project.dsn)}"></script>`
    : `npm install ../monitor-kit/sdk-ts\n\nimport { init } from '@monitor-kit/browser';\n\ninit({ dsn: ${JSON.stringify(project.dsn)} });`;
  return (
    <section class="card welcome">
      <p class="waiting" role="status"><span class="live-dot" />{t('waitingFirst')}</p>
      <h1>{t('welcomeTitle', { project: project.name || project.id })}</h1>
      <p class="muted">{t(way === 'script' ? 'welcomeScript' : 'welcomeNpm')} {t('welcomeSwitch')}</p>
      <Segments<'script' | 'npm'> label={t('wayOfInstalling')} options={[{ value: 'script', label: t('scriptTag') }, { value: 'npm', label: 'npm' }]} value={way} onChange={setWay} />
      <div class="snippet">
        <pre tabIndex={0} aria-label={t('codeToCopy')}><code>{way === 'script' ? unbroken(snippet) : snippet}</code></pre>
        <CopyButton key={way} text={snippet} />
      </div>
      <dl class="facts"><div><dt>{t('project')}</dt><dd>{project.id}</dd></div><div><dt>DSN</dt><dd class="mono">{project.dsn}</dd></div></dl>
    </section>
  );
}
