// Builds `dist/`: ESM and CJS for bundlers, one minified script for a `<script>` tag, and the types.
import {execFileSync} from 'node:child_process';
import {readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {rolldown} from 'rolldown';

const root = new URL('..', import.meta.url);
const {name, version} = JSON.parse(await readFile(new URL('package.json', root), 'utf8'));
const require = createRequire(import.meta.url);
process.chdir(new URL('.', root).pathname);
await rm('dist', {recursive: true, force: true});

// web-vitals is part of every bundle; its license asks to say so.
const banner = `/*! ${name} ${version} | MIT OR Apache-2.0 | with web-vitals, Apache-2.0, Google LLC */`;

/** @param {string} input @param {import('rolldown').OutputOptions} output */
async function bundle(input, output) {
  const build = await rolldown({
    input,
    platform: 'browser',
    transform: {target: 'es2020', define: {__VERSION__: JSON.stringify(version)}},
  });
  await build.write({sourcemap: true, banner, ...output});
  await build.close();
}

await bundle('src/index.ts', {file: 'dist/index.js', format: 'esm'});
await bundle('src/index.ts', {file: 'dist/index.cjs', format: 'cjs', exports: 'named'});
await bundle('src/script.ts', {
  file: 'dist/monitor.iife.js',
  format: 'iife',
  name: 'MonitorKit',
  exports: 'named',
  minify: true,
});

// A script without a charset is read in the encoding of the page that includes it.
const script = await readFile('dist/monitor.iife.js', 'utf8');
const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
await writeFile('dist/monitor.iife.js', script.replace(/[\u0080-\uffff]/g, escape));

const tsc = require.resolve('typescript/package.json').replace('package.json', 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {stdio: 'inherit'});

// `require` needs its own declarations: a `.d.ts` in a `"type": "module"` package describes an ES module.
for (const file of await readdir('dist/types', {recursive: true})) {
  if (!file.endsWith('.d.ts')) continue;
  const text = await readFile(`dist/types/${file}`, 'utf8');
  await writeFile(`dist/types/${file.replace(/\.d\.ts$/, '.d.cts')}`, text.replace(/(from '\.[^']*)\.js'/g, "$1.cjs'"));
}
