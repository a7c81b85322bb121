import type {Client} from './types.js';

const nothing = (): void => {};

/** The client before `init`, on a server, and where the SDK cannot run: takes everything, does nothing. */
export const inertClient: Client = {
  captureException: nothing,
  captureMessage: nothing,
  track: nothing,
  addBreadcrumb: nothing,
  setUser: nothing,
  setTag: nothing,
  flush: () => Promise.resolve(true),
  close: () => Promise.resolve(true),
  capture: nothing,
  discard: nothing,
  page: {id: '', url: '', route: '', referrer: '', title: '', seq: 0},
  startPage: () => inertClient.page,
  onHidden: () => nothing,
  busy: false,
  guard: (handler) => handler,
  endpoint: '',
};
