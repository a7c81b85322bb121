// Ports for the servers of the tests.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** A loopback port on which nothing listens. */
export async function freePort() {
  for (;;) {
    // Below the ports that the system gives to outgoing connections: under load one of those would take it before the server does.
    const port = randomInt(15_000, 32_000);
    const probe = createServer();
    const free = await new Promise((done) => {
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (free) return port;
  }
}

/** The same as an address. */
export const freeAddress = async () => `127.0.0.1:${await freePort()}`;
