import {currentClient} from './currentClient.js';
import type {Client} from './types.js';

// The methods of the current client as functions, so that a page needs no variable to keep the client in.
export const captureException: Client['captureException'] = (...args) => currentClient.get().captureException(...args);
export const captureMessage: Client['captureMessage'] = (...args) => currentClient.get().captureMessage(...args);
export const track: Client['track'] = (...args) => currentClient.get().track(...args);
export const addBreadcrumb: Client['addBreadcrumb'] = (...args) => currentClient.get().addBreadcrumb(...args);
export const setUser: Client['setUser'] = (...args) => currentClient.get().setUser(...args);
export const setTag: Client['setTag'] = (...args) => currentClient.get().setTag(...args);
export const flush: Client['flush'] = (...args) => currentClient.get().flush(...args);
export const close: Client['close'] = (...args) => currentClient.get().close(...args);
