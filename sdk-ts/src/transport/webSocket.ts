import {TIMEOUT, type Answer, type Transport} from './transport.js';

/** ms from one attempt to connect to the next, unless the connection was of use: the browser writes each failure to the console. */
const PAUSE = 300_000;

/**
 * Sends over one WebSocket, one envelope per message; the answers come in the same order. It is opened at the first send, and
 * closed after 30 s without one and when the page is left: an open one keeps a page out of the back/forward cache. Until it is
 * open, and when it is lost, the next transport has to take the body.
 */
export function webSocketTransport(endpoint: string): Transport {
  let socket: WebSocket | undefined;
  const waiting: ((answer: Answer) => void)[] = [];
  let idle: ReturnType<typeof setTimeout>;
  let notBefore = 0;

  function connect(): void {
    notBefore = Date.now() + PAUSE;
    try {
      const mine = new WebSocket(endpoint.replace('http', 'ws').replace('events?', 'ws?'));
      mine.onclose = mine.onmessage = ({data}: Partial<MessageEvent>) => {
        // A connection that we gave up may still have something to say; its answers would be taken for those of the next one.
        if (socket !== mine) return;
        try {
          const answer = JSON.parse(data);
          waiting.shift()!({status: 0, retryAfter: answer.retry_after, ...answer});
          notBefore = 0;
        } catch {
          // It was closed, or speaks another language.
          close();
        }
      };
      socket = mine;
    } catch {
      // There are none here, or not without encryption.
    }
  }

  /** Nobody knows what became of what has no answer. */
  function close(): void {
    socket?.close();
    socket = undefined;
    waiting.splice(0).forEach((resolve) => resolve({status: 0}));
  }

  addEventListener('pagehide', close);
  return (body, leaving) => {
    if (leaving) return undefined;
    if (!socket && Date.now() >= notBefore) connect();
    // Then it is idle, or an answer is late.
    clearTimeout(idle);
    idle = setTimeout(close, TIMEOUT);
    if (socket?.readyState !== 1) return undefined;
    socket.send(body);
    return new Promise((resolve) => waiting.push(resolve));
  };
}
