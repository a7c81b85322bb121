// How each SDK writes on the wire. Only whole errors count: breadcrumbs name earlier errors, too, and say nothing about whether those arrived.

/** @typedef {{id?: string, message: string}} SentError */

/** The errors in the body of a request. @type {Record<string, (text: string) => SentError[]>} */
export const errorsOf = {
  monitor: (text) => (parsed(text)?.events ?? []).filter(({kind}) => kind === 'error').map(({id, data}) => ({id, message: String(data?.message)})),
  sentry: (text) => sentryItems(text)
    .filter(({exception}) => exception)
    .flatMap(({event_id: id, exception}) => exception.values.map(({value}) => ({id, message: String(value)}))),
  faro: (text) => (parsed(text)?.exceptions ?? []).map(({value}) => ({message: String(value)})),
};

/** How many errors the SDK says in this body that it gave up. */
export const lossesOf = {
  monitor: (text) => sum((parsed(text)?.discarded ?? []).filter(({kind}) => kind === 'error').map(({count}) => count)),
  sentry: (text) => sum(sentryItems(text)
    .flatMap(({discarded_events: list}) => list ?? [])
    .filter(({category}) => category === 'error')
    .map(({quantity}) => quantity)),
  faro: () => 0,
};

/** An envelope is lines of JSON: its header, and for each item a header and a payload. */
function sentryItems(text) {
  return text.split('\n').map(parsed).filter((item) => item && typeof item === 'object');
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    // A preflight, an attachment, or an empty line.
    return undefined;
  }
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
