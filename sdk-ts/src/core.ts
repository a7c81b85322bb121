/** The SDK without any integration: the small start for pages that choose what they watch. */
export {start} from './start.js';
export {
  captureException,
  captureMessage,
  track,
  addBreadcrumb,
  setUser,
  setTag,
  setContext,
  withScope,
  startView,
  pause,
  resume,
  flush,
  close,
} from './api.js';
export {autoTransport} from './transport/auto.js';
export {beaconTransport} from './transport/beacon.js';
export {fetchTransport} from './transport/fetch.js';
export {imageTransport} from './transport/image.js';
export {webSocketTransport} from './transport/webSocket.js';
export {xhrTransport} from './transport/xhr.js';
export type {Answer, Transport} from './transport/transport.js';
export type {
  Breadcrumb,
  Client,
  ExceptionHint,
  Integration,
  Kind,
  Level,
  Lost,
  MonitorEvent,
  NewEvent,
  Options,
  Page,
  Processor,
  Properties,
  Scope,
  User,
} from './types.js';
