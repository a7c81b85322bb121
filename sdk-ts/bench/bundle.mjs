import {resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
/** The package that is measured: its built files, through its own `exports`, as a user gets them. Set `MONITOR_PACKAGE` to measure another build. */
export const ownPackage = resolve(process.env.MONITOR_PACKAGE ?? resolve(here, '..'));

/**
 * Bundles and minifies as a careful user would. Our names are resolved within our package, those of rivals within this folder.
 *
 * @param {{code?: string, file?: string}} entry
 * @param {'esm' | 'iife'} format
 * @returns {Promise<Buffer>}
 */
export async function bundle({code, file}, format) {
  const folder = (code ?? file).includes('@monitor-kit/') ? ownPackage : here;
  const {outputFiles} = await build({
    ...(file ? {entryPoints: [file]} : {stdin: {contents: code, resolveDir: folder}}),
    absWorkingDir: folder,
    bundle: true,
    minify: true,
    write: false,
    format,
    target: 'es2020',
    platform: 'browser',
    legalComments: 'none',
    logLevel: 'silent',
  });
  return Buffer.from(outputFiles[0].contents);
}
