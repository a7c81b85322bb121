// Prints the gzip size of every built file, and fails when what the browser needs before the first paint
// (everything that index.html names, without the lazy chunks) is above the budget.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET_KIB = 40;
const dist = new URL('../dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
let initialJs = 0;
for (const name of readdirSync(new URL('assets/', dist)).sort()) {
  const size = gzipSync(readFileSync(new URL(`assets/${name}`, dist)), { level: 9 }).length / 1024;
  const initial = html.includes(name);
  if (initial && name.endsWith('.js')) initialJs += size;
  console.log(`${size.toFixed(1).padStart(7)} KiB gzip  ${initial ? 'initial' : 'lazy   '}  ${name}`);
}
console.log(`${initialJs.toFixed(1).padStart(7)} KiB gzip  initial JavaScript (budget ${BUDGET_KIB} KiB)`);
if (initialJs === 0 || initialJs > BUDGET_KIB) process.exit(1);
