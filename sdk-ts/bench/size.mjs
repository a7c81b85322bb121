// What a user downloads: each entry of the package, and the SDKs people compare it with, bundled and minified by esbuild, gzip level 9.
// `--own` measures ours alone. Fails when one of ours is over its budget.
import {gzipSync} from 'node:zlib';
import {bundle} from './bundle.mjs';
import {own, rivals} from './entries.mjs';

const ownOnly = process.argv.includes('--own');
let failed = false;

for (const [name, entry] of Object.entries({...own, ...(ownOnly ? {} : rivals)})) {
  try {
    const bundled = await bundle(entry, 'esm');
    const bytes = gzipSync(bundled, {level: 9}).length;
    const over = bytes > entry.budget ? `  over its budget of ${entry.budget} by ${bytes - entry.budget}` : '';
    console.log(`${name.padEnd(24)} ${String(bundled.length).padStart(8)} minified ${String(bytes).padStart(8)} gzip${over}`);
    console.log(`figure sdk.gzip_bytes.${name} ${bytes} bytes`);
    // Nothing of use is that small: the bundler found no use for it.
    failed ||= over !== '' || bytes < 100;
  } catch (error) {
    console.error(`${name.padEnd(24)} cannot be bundled: ${error.message}`);
    failed = true;
  }
}
if (failed) process.exitCode = 1;
