import { useSignalEffect } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, ask, getProjects, needsToken } from './api/client.ts';
import { anyEvent, filterOptions } from './api/queries.ts';
import { countOf, rowsOf, totalsBy } from './api/table.ts';
import type { Project } from './api/types.ts';
import { rangeKey, windowOf } from './lib/range.ts';
import { ErrorDetail } from './pages/ErrorDetail.tsx';
import { Errors } from './pages/Errors.tsx';
import { Live } from './pages/Live.tsx';
import { Overview } from './pages/Overview.tsx';
import { Pages } from './pages/Pages.tsx';
import { Token } from './pages/Token.tsx';
import { Welcome } from './pages/Welcome.tsx';
import { dark, project, projects, view } from './state/store.ts';
import { useResource } from './state/use-resource.ts';
import { Empty, ErrorNote, Skeleton } from './ui/bits.tsx';
import { Header, type Options } from './ui/Header.tsx';

const NO_OPTIONS: Options = { release: [], environment: [], browser: [] };
const OPTIONS_REFRESH = 60_000;
const EMPTY_REFRESH = 3_000;
const TITLES = { overview: 'Overview', errors: 'Errors', pages: 'Pages', live: 'Live' };

export function App() {
  useSignalEffect(() => { document.documentElement.dataset.theme = dark.value ? 'dark' : 'light'; });
  useSignalEffect(() => { document.title = [TITLES[view.value.page], project.value?.name, 'Monitor Kit'].filter(Boolean).join(' · '); });
  const loaded = useResource('projects', getProjects);
  useEffect(() => { if (loaded.data) projects.value = loaded.data; }, [loaded.data]);

  if (needsToken.value) return <Token />;
  const current = project.value;
  if (current) return <ProjectView key={current.id} current={current} />;
  return (
    <>
      <Header options={NO_OPTIONS} />
      <main class="main" id="main">
        {loaded.error ? <ErrorNote error={loaded.error} retry={loaded.reload} />
          : projects.value ? <Empty title="No project to show">Nobody has given you a project to read yet.</Empty>
          : <Skeleton height={320} />}
      </main>
    </>
  );
}

interface Contents {
  options: Options;
  /** True when the project never had an event. */
  empty: boolean;
}

async function contentsOf(id: string, signal: AbortSignal): Promise<Contents> {
  const now = Date.now();
  const rows = rowsOf(await ask(filterOptions(id, windowOf(view.peek().range, now)), signal));
  if (rows.length > 0) {
    return { options: { release: totalsBy(rows, 'release'), environment: totalsBy(rows, 'environment'), browser: totalsBy(rows, 'browser') }, empty: false };
  }
  try {
    const [row] = rowsOf(await ask(anyEvent(id, now), signal));
    return { options: NO_OPTIONS, empty: countOf(row, 'count') === 0 };
  } catch (error) {
    // Too much to count is not empty.
    if (error instanceof ApiError && error.status === 422) return { options: NO_OPTIONS, empty: false };
    throw error;
  }
}

function ProjectView({ current }: { current: Project }) {
  const { page, fingerprint, range } = view.value;
  const contents = useContents(current.id, rangeKey(range), 'preset' in range ? OPTIONS_REFRESH : 0);
  // The live page says itself that it waits, and must not miss the first event.
  if (contents.data?.empty && page !== 'live') return <><Header options={NO_OPTIONS} bare /><main class="main" id="main"><Welcome project={current} /></main></>;
  return (
    <>
      <Header options={contents.data?.options ?? NO_OPTIONS} />
      <main class="main" id="main">
        {page === 'overview' && <Overview project={current.id} />}
        {page === 'errors' && (fingerprint === null ? <Errors project={current.id} /> : <ErrorDetail key={fingerprint} project={current.id} fingerprint={fingerprint} />)}
        {page === 'pages' && <Pages project={current.id} />}
        {page === 'live' && <Live project={current.id} />}
      </main>
    </>
  );
}

/** While a project is empty it is asked often: the first event should switch the page by itself. */
function useContents(id: string, range: string, usualRefresh: number) {
  const [isEmpty, setEmpty] = useState(false);
  const contents = useResource(`${id} ${range}`, (signal) => contentsOf(id, signal), isEmpty ? EMPTY_REFRESH : usualRefresh);
  useEffect(() => { setEmpty(contents.data?.empty === true); }, [contents.data]);
  return contents;
}
