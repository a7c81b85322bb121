import type {Client} from './types.js';

/** The client that the functions of the package speak to: the last one that was started. */
export const current: {_client?: Client | undefined} = {};
