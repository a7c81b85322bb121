import {adoptLoader} from './adoptLoader.js';
import {current} from './current.js';
import {init} from './init.js';
import type {LoaderStub} from './loader.js';
import type {Client} from './types.js';

export * from './index.js';

/**
 * The entry of the script-tag build. Its own tag configures it:
 * `<script src="…/monitor.js" data-dsn="…" data-release="…" data-environment="…" data-sample-rate="0.5"></script>`.
 * Without `data-dsn` nothing starts, and the page calls `MonitorKit.init` itself.
 *
 * `client` is what was started, or undefined. When the script is included twice, the second copy adopts the client of the first:
 * two clients would report everything twice.
 */
export const client: Client | undefined = adopt();

function adopt(): Client | undefined {
  const {client: running, ...stub} = (globalThis as {MonitorKit?: Partial<LoaderStub> & {client?: Client}}).MonitorKit ?? {};
  if (running) return (current._client = running);
  if (stub.q) return adoptLoader(stub as LoaderStub);
  const {dsn, release, environment, sampleRate} = (document.currentScript as HTMLElement | null)?.dataset ?? {};
  return dsn ? init({dsn, release, environment, sampleRate: sampleRate ? Number(sampleRate) : undefined}) : undefined;
}
