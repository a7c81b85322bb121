import {currentClient} from './currentClient.js';
import {init} from './init.js';
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
export const client: Client | undefined = start();

function start(): Client | undefined {
  const running = (globalThis as {MonitorKit?: {client?: Client}}).MonitorKit?.client;
  if (running) {
    currentClient.set(running);
    return running;
  }
  const {dsn, release, environment, sampleRate} = (document.currentScript as HTMLElement | null)?.dataset ?? {};
  if (!dsn) return undefined;
  return init({dsn, release, environment, sampleRate: sampleRate ? Number(sampleRate) : undefined});
}
