// Questions to the query API, as somebody would ask them who has read docs/query-api.md.

export const filter = (field, ...values) => ({ field, op: 'in', values });
export const without = (field, ...values) => ({ field, op: 'not_in', values });

/** What a question is about: a range, and filters as addresses of the dashboard have them. */
export const scopeOf = (range, filters = {}) => ({ project: 'shop', ...range, filters: Object.entries(filters).map(([field, value]) => filter(field, value)) });

/** The rows of a table, by column. */
export const named = ({ columns, rows }) => rows.map((cells) => Object.fromEntries(columns.map((column, index) => [column, cells[index]])));

export const sum = (numbers) => numbers.reduce((total, value) => total + value, 0);
export const by = (rows, key) => new Map(rows.map((row) => [row[key], row]));

export function grouped(list, keyOf) {
  const groups = new Map();
  for (const one of list) groups.set(keyOf(one), [...groups.get(keyOf(one)) ?? [], one]);
  return groups;
}

/** Events in the order in which they happened. */
export const inOrder = (events) => events.toSorted((a, b) => a.time - b.time || (a.page === b.page ? a.seq - b.seq : 0) || (a.id < b.id ? -1 : 1));

/** The questions that `ask` puts. Tables are `exact`: every event is read for them, whatever the service keeps worked out. */
export function questions(ask) {
  const merged = (scope, question) => ({ ...scope, ...question, filters: [...scope.filters, ...question.filters ?? []] });
  const tableOf = async (path, scope, question) => named(await ask(path, { exact: true, ...merged(scope, question) }));
  const rowsOf = (scope, question) => tableOf('/query', scope, { limit: 10_000, ...question });
  const figuresOf = async (scope, question) => (await rowsOf(scope, question))[0] ?? {};

  return {
    tableOf,
    rowsOf,
    figuresOf,
    countOf: async (scope, kind) => (await figuresOf(scope, { kinds: [kind], measures: ['count'] })).count,

    /** A measure by the beginnings of its steps. */
    courseOf: async (scope, { step, zone }, question, measure) =>
      new Map((await rowsOf(scope, { ...question, step, zone_offset: zone, measures: [measure] })).map((row) => [row.time, row[measure]])),

    /** The latest events, or all of them. */
    eventsOf: async (scope, question, most = Infinity) => {
      const found = [];
      let cursor = null;
      do {
        const page = await ask('/query/events', { order: 'newest', limit: Math.min(10_000, most - found.length), cursor, ...merged(scope, question) });
        found.push(...page.events);
        cursor = page.next;
      } while (cursor !== null && found.length < most);
      return found;
    },
  };
}
