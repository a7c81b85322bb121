import { useSignalEffect } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, ask, getProjects, needsToken } from './api/client.ts';
import { anyEvent, viewsYesterday } from './api/queries/common.ts';
import { countOf, rowsOf } from './api/table.ts';
import type { Project } from './api/types.ts';
import { t } from './i18n/frame.ts';
import { language } from './i18n/index.ts';
import { ErrorDetail, Errors, Behaviour, Events, Live, Overview, Performance, Requests, SessionDetail, Sessions, System } from './pages/lazy.tsx';
import { Token } from './pages/Token.tsx';
import { Welcome } from './pages/Welcome.tsx';
import { dark, project, projects, view } from './state/store.ts';
import { useResource } from './state/use-resource.ts';
import type { Page } from './state/url.ts';
import { Empty, ErrorNote, Skeleton } from './ui/bits.tsx';
import { Boundary } from './ui/Boundary.tsx';
import { Frame } from './ui/Frame.tsx';
import { pageLabel } from './ui/pages.ts';

const EMPTY_REFRESH = 3_000;

export function App() {
  useSignalEffect(() => { document.documentElement.dataset.theme = dark.value ? 'dark' : 'light'; });
  useSignalEffect(() => { document.documentElement.lang = language.value; });
  useSignalEffect(() => { document.title = [pageLabel(view.value.page), project.value?.name, 'Monitor Kit'].filter(Boolean).join(' · '); });
  const loaded = useResource('projects', getProjects);
  useEffect(() => { if (loaded.data) projects.value = loaded.data; }, [loaded.data]);

  if (needsToken.value) return <Token />;
  const current = project.value;
  if (current) return <ProjectView key={current.id} current={current} />;
  return (
    <Frame bare>
      {loaded.error ? <ErrorNote error={loaded.error} retry={loaded.reload} />
        : projects.value ? <Empty title={t('noProject')}>{t('noProjectText')}</Empty>
        : <Skeleton height={320} />}
    </Frame>
  );
}

const PAGES: Record<Page, ComponentType<{ project: string }>> = {
  overview: Overview, performance: Performance, errors: Errors, requests: Requests, behaviour: Behaviour, sessions: Sessions, live: Live, events: Events, system: System,
};

function ProjectView({ current: { id, ...current } }: { current: Project }) {
  const { page, fingerprint, session } = view.value;
  const isEmpty = useEmpty(id);
  // The live page says itself that it waits, and must not miss the first event; the system page is not about events.
  if (isEmpty && page !== 'live' && page !== 'system') return <Frame bare><Welcome project={{ id, ...current }} /></Frame>;
  const Shown = PAGES[page];
  return (
    <Frame>
      <Boundary key={JSON.stringify([page, fingerprint, session])}>
        {fingerprint !== null ? <ErrorDetail project={id} fingerprint={fingerprint} />
          : session !== null ? <SessionDetail project={id} session={session} />
          : <Shown project={id} />}
      </Boundary>
    </Frame>
  );
}

/** Whether the project never had an event. While it is so it is asked often: the first event should switch the page by itself. */
function useEmpty(id: string): boolean {
  const [isEmpty, setEmpty] = useState(false);
  const { data } = useResource(`empty ${id}`, async (signal) => {
    const now = Date.now();
    try {
      // A look at one day is cheap, and nearly always enough.
      if (countOf(rowsOf(await ask(viewsYesterday(id, now), signal))[0], 'count') > 0) return false;
      return countOf(rowsOf(await ask(anyEvent(id, now), signal))[0], 'count') === 0;
    } catch (error) {
      // Too much to count is not empty.
      if (error instanceof ApiError && error.status === 422) return false;
      throw error;
    }
  }, isEmpty ? EMPTY_REFRESH : 0);
  useEffect(() => { setEmpty(data === true); }, [data]);
  return isEmpty;
}
