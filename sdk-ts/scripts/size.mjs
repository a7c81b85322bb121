// Prints what a user downloads for the script tag, and fails above the budget.
import {readFile} from 'node:fs/promises';
import {gzipSync} from 'node:zlib';

/** Bytes, gzip level 9. Every byte is paid for by a user on a slow phone. */
const BUDGET = 12 * 1024;

const bytes = gzipSync(await readFile(new URL('../dist/monitor.iife.js', import.meta.url)), {level: 9}).length;
console.log(`figure sdk.gzip_bytes ${bytes} bytes`);
if (bytes > BUDGET) {
  console.error(`the minified bundle is ${bytes - BUDGET} bytes over its budget of ${BUDGET}`);
  process.exit(1);
}
