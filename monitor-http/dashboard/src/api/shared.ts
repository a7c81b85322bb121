interface Flight {
  answer: Promise<unknown>;
  controller: AbortController;
  waiting: number;
}

const flights = new Map<string, Flight>();

/** Runs what is asked twice at the same time once; it is given up when nobody waits for it any more. */
export function shared<T>(key: string, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  let flight = flights.get(key);
  if (!flight) {
    const controller = new AbortController();
    const started: Flight = { answer: run(controller.signal), controller, waiting: 0 };
    const land = () => { if (flights.get(key) === started) flights.delete(key); };
    started.answer.then(land, land);
    flights.set(key, started);
    flight = started;
  }
  const joined = flight;
  joined.waiting++;
  return new Promise<T>((resolve, reject) => {
    const leave = () => {
      joined.waiting--;
      if (joined.waiting === 0) {
        flights.delete(key);
        joined.controller.abort();
      }
      reject(signal.reason);
    };
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    const done = () => signal.removeEventListener('abort', leave);
    joined.answer.then((answer) => { done(); resolve(answer as T); }, (error: unknown) => { done(); reject(error); });
  });
}
