// Processes and what is waited for.
import { spawn } from 'node:child_process';

/** Waits until `ask` gives something, and gives that; what it throws meanwhile is the reason when it never does. */
export async function until(what, ask, { within = 60_000, every = 50 } = {}) {
  const deadline = Date.now() + within;
  for (let reason = ''; ;) {
    try {
      const found = await ask();
      if (found) return found;
      reason = '';
    } catch (error) {
      reason = `: ${error.message}`;
    }
    if (Date.now() >= deadline) throw new Error(`not within ${within} ms: ${what}${reason}`);
    await new Promise((wait) => setTimeout(wait, every));
  }
}

/** What is running, the last first, to be ended when the tests are over or fail. */
const running = new Set();

/** Takes care of a child process: its last lines are kept, for when it ends unasked. */
export function started(child, name) {
  const lines = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      lines.push(text);
      if (lines.length > 200) lines.splice(0, 100);
    });
  }
  const ended = new Promise((done) => child.once('close', (code, signal) => {
    running.delete(handle);
    done(code ?? signal);
  }));
  const handle = {
    name,
    child,
    ended,
    said: () => lines.join(''),
    /** Waits for a line. */
    async says(text, within = 60_000) {
      const stopped = ended.then((code) => { throw new Error(`${name} ended with ${code}: ${lines.join('').slice(-4_000)}`); });
      const seen = until(`${name} says ${text}; it said: ${lines.join('').slice(-2_000)}`, () => lines.join('').includes(text), { within });
      // Whichever comes second is nobody's concern.
      seen.catch(() => {});
      stopped.catch(() => {});
      await Promise.race([seen, stopped]);
    },
    /** Sends a signal and waits for the end; gives the exit code, or the signal that ended it. */
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    },
  };
  running.add(handle);
  return handle;
}

export const start = (name, command, args, options = {}) =>
  started(spawn(command, args, { ...options, env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] }), name);

/** Ends everything, the last first; gives those that did not end well, as `name: code`. Java says 143 after SIGTERM. */
export async function stopAll() {
  const bad = [];
  for (const handle of [...running].reverse()) {
    const timer = setTimeout(() => handle.child.kill('SIGKILL'), 20_000);
    const code = await handle.stop();
    clearTimeout(timer);
    if (![0, 143].includes(code)) bad.push(`${handle.name}: ${code}`);
  }
  return bad;
}

// Also when the tests are interrupted: nothing is left behind.
process.once('exit', () => running.forEach(({ child }) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
