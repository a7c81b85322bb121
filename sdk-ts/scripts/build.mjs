// Builds `dist/`: ESM and CJS for bundlers, one minified script for a `<script>` tag, the loader, and the types.
import {execFileSync} from 'node:child_process';
import {readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {build, transform} from 'esbuild';
import {rolldown} from 'rolldown';
import {eagerInEsbuild, eagerInRolldown} from './eager.mjs';

const root = new URL('..', import.meta.url);
const {name, version} = JSON.parse(await readFile(new URL('package.json', root), 'utf8'));
const require = createRequire(import.meta.url);
process.chdir(new URL('.', root).pathname);
await rm('dist', {recursive: true, force: true});

// The license of web-vitals asks to say so where it is passed on; the package says it in its README.
const banner = `/*! ${name} ${version} | MIT OR Apache-2.0 | with web-vitals, Apache-2.0, Google LLC */`;

const integrations = (await readdir('src/integrations')).map((file) => file.replace('.ts', ''));
const entries = {
  index: 'src/index.ts',
  core: 'src/core.ts',
  react: 'src/react.ts',
  vue: 'src/vue.ts',
  attribution: 'src/attribution.ts',
  ...Object.fromEntries(integrations.map((name) => [`integrations/${name}`, `src/integrations/${name}.ts`])),
};

const external = ['react', 'vue'];
const common = {
  target: 'es2020',
  // A script without a charset is read in the encoding of the page that includes it.
  charset: 'ascii',
  // Names of properties that begin with `_` never leave the package and are shortened, the same way in all files.
  mangleProps: /^_/,
};
const define = {__VERSION__: JSON.stringify(version)};

const {mangleCache} = await build({
  ...common,
  mangleCache: {},
  entryPoints: entries,
  outdir: 'dist',
  bundle: true,
  splitting: true,
  minifySyntax: true,
  format: 'esm',
  chunkNames: 'shared/[hash]',
  external,
  define,
  sourcemap: true,
  plugins: [eagerInEsbuild],
  // Fields of classes, those of web-vitals, are assigned; to define them, as JavaScript does, takes a helper in ES2020.
  loader: {'.js': 'ts'},
  tsconfigRaw: {compilerOptions: {useDefineForClassFields: false}},
});

/** What esbuild cannot do: shared chunks of CommonJS. @param {Record<string, string> | string} input @param {import('rolldown').OutputOptions} output */
async function bundle(input, output) {
  const minify = output.format === 'iife';
  const bundler = await rolldown({
    input,
    platform: 'browser',
    external,
    plugins: [eagerInRolldown],
    transform: {target: 'es2020', define, assumptions: {setPublicClassFields: true}},
  });
  const {output: files} = await bundler.write({sourcemap: 'inline', ...output});
  await bundler.close();
  for (const {type, fileName} of files) {
    if (type !== 'chunk') continue;
    const path = output.file ?? `dist/${fileName}`;
    const {code, map} = await transform(await readFile(path, 'utf8'), {
      ...common,
      minify,
      mangleCache,
      sourcemap: 'external',
      sourcefile: fileName,
      banner: minify ? banner : '',
    });
    const mapName = `${fileName.split('/').pop()}.map`;
    await writeFile(path, `${code}//# sourceMappingURL=${mapName}\n`);
    await writeFile(`${path}.map`, map);
  }
}

await bundle(entries, {dir: 'dist', format: 'cjs', exports: 'named', entryFileNames: '[name].cjs', chunkFileNames: 'shared/[name].cjs'});
await bundle('src/script.ts', {file: 'dist/monitor.iife.js', format: 'iife', name: 'MonitorKit', exports: 'named'});

// The loader is a snippet to be copied into a page: one call of a function with the options that users edit.
const loader = await transform(await readFile('src/loader.ts', 'utf8'), {loader: 'ts', minify: true, target: 'es2015', charset: 'ascii'});
const example = '({src:"https://monitor.example/sdk/monitor.js",dsn:"https://<public_key>@monitor.example/<project>"});';
await writeFile('dist/loader.js', `${loader.code.trim().replace(/^export /, '!').replace(/;?$/, example)}\n`);

const tsc = require.resolve('typescript/package.json').replace('package.json', 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {stdio: 'inherit'});

// `require` needs its own declarations: a `.d.ts` in a `"type": "module"` package describes an ES module.
for (const file of await readdir('dist/types', {recursive: true})) {
  if (!file.endsWith('.d.ts')) continue;
  const text = await readFile(`dist/types/${file}`, 'utf8');
  await writeFile(`dist/types/${file.replace(/\.d\.ts$/, '.d.cts')}`, text.replace(/(from '\.[^']*)\.js'/g, "$1.cjs'"));
}
