// Whether an answer has the form it should have: something between, or another version of the service, may answer anything with a 200. Only what
// pages rely on is looked at; cells and the members of events are read with care anyway.

export type Members = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value);
export const isNumber = (value: unknown): value is number => typeof value === 'number';
export const isText = (value: unknown): value is string => typeof value === 'string';
export const isFlag = (value: unknown): value is boolean => typeof value === 'boolean';

/** A list of which every member is one. */
export const isList = (value: unknown, isOne: (member: unknown) => boolean): boolean => Array.isArray(value) && value.every(isOne);
/** An object of which every member is one. */
export const isRecord = (value: unknown, isOne: (member: unknown) => boolean): boolean => isObject(value) && Object.values(value).every(isOne);

const isRows = (value: unknown): boolean => isList(value, Array.isArray);
const isStats = (value: unknown): boolean => isObject(value) && isNumber(value['elapsed_ms']) && isNumber(value['rows_read']);
const isEvent = (value: unknown): boolean => isObject(value) && isText(value['id']) && isNumber(value['time']);

export function isTable({ columns, rows, previous, totals, stats }: Members): boolean {
  return isList(columns, isText) && isRows(rows) && [previous, totals].every((part) => part == null || isRows(part)) && isStats(stats);
}

export function isEventPage({ events, next, stats }: Members): boolean {
  return isList(events, isEvent) && (next === null || isText(next)) && isStats(stats);
}

export function isProjects({ projects }: Members): boolean {
  return isList(projects, (project) => isObject(project) && isText(project['id']));
}

const LANE = ['events', 'age_ms', 'dead_letters', 'delivered', 'retried'];
const isLane = (value: unknown): boolean => isObject(value) && LANE.every((name) => isNumber(value[name]));
const isOf = (value: unknown, isIt: (members: Members) => boolean): boolean => isObject(value) && isIt(value);

function isProcess({ rates, spool, consumer_lag, drops, live_viewers, metrics }: Members): boolean {
  return isObject(rates) && isNumber(rates['over_seconds']) && isRecord(rates['per_second'], isNumber)
    && isObject(spool) && isNumber(spool['bytes']) && isRecord(spool['lanes'], isLane) && isRecord(consumer_lag, isNumber) && isNumber(live_viewers)
    && isList(drops, (drop) => isOf(drop, ({ what, reason, count }) => isText(what) && isText(reason) && isNumber(count)))
    && isList(metrics, (metric) => isOf(metric, ({ name, value }) => isText(name) && isNumber(value)));
}

export function isSystem({ version, started, uptime_seconds, ready, store_available, process }: Members): boolean {
  return isText(version) && isNumber(started) && isNumber(uptime_seconds) && isFlag(ready) && isFlag(store_available)
    && (process === null || (isObject(process) && isProcess(process)));
}
