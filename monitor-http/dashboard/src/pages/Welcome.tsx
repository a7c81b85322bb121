import { useState } from 'preact/hooks';
import type { Project } from '../api/types.ts';
import { CopyButton, Segments } from '../ui/bits.tsx';

const attribute = (text: string) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');

/** Attributes are not broken at their hyphens; the text stays the snippet. */
const unbroken = (text: string) => text.split(' ').flatMap((part, index) => [index ? ' ' : '', <span key={index}>{part}</span>]);

/** For a project that never had an event: how to send the first one. */
export function Welcome({ project }: { project: Project }) {
  const [way, setWay] = useState<'script' | 'npm'>('script');
  const base = new URL('.', document.baseURI).href;
  const snippet = way === 'script'
    ? `<script src="${attribute(base)}sdk/monitor.js" data-dsn="${attribute(project.dsn)}" defer></script>`
    : `npm install @monitor-kit/browser\n\nimport { init } from '@monitor-kit/browser';\n\ninit({ dsn: ${JSON.stringify(project.dsn)} });`;
  return (
    <section class="card welcome">
      <p class="waiting" role="status"><span class="live-dot" />Waiting for the first event</p>
      <h1>Send the first event of {project.name || project.id}</h1>
      <p class="muted">{way === 'script' ? 'Put this line into the head of your pages. Page views, web vitals, errors and requests are collected by themselves.' : 'Install the package and call it once, as early as your app starts.'} This page switches by itself as soon as an event arrives.</p>
      <Segments<'script' | 'npm'> label="Way of installing" options={[{ value: 'script', label: 'Script tag' }, { value: 'npm', label: 'npm' }]} value={way} onChange={setWay} />
      <div class="snippet">
        <pre tabIndex={0} aria-label="Code to copy"><code>{way === 'script' ? unbroken(snippet) : snippet}</code></pre>
        <CopyButton key={way} text={snippet} />
      </div>
      <dl class="facts"><div><dt>Project</dt><dd>{project.id}</dd></div><div><dt>DSN</dt><dd class="mono">{project.dsn}</dd></div></dl>
    </section>
  );
}
