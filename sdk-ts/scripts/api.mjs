// Compares the public API with `api/*.api.md`, which are committed, so that a change of it is seen in review. `--update` writes them.
import {mkdir} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {Extractor, ExtractorConfig} from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('..', import.meta.url));
const localBuild = process.argv.includes('--update');
await mkdir(`${root}api`, {recursive: true});

for (const entry of ['index', 'react', 'vue']) {
  const config = ExtractorConfig.prepare({
    configObjectFullPath: `${root}api-extractor.json`,
    packageJsonFullPath: `${root}package.json`,
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: `${root}dist/types/${entry}.d.ts`,
      compiler: {overrideTsconfig: {compilerOptions: {lib: ['ES2022', 'DOM'], module: 'ESNext', moduleResolution: 'bundler', strict: true, skipLibCheck: true, types: []}, files: [`${root}dist/types/${entry}.d.ts`]}},
      apiReport: {enabled: true, reportFolder: `${root}api`, reportTempFolder: `${root}node_modules/.cache/api`, reportFileName: `${entry}.api.md`},
      docModel: {enabled: false},
      dtsRollup: {enabled: false},
      tsdocMetadata: {enabled: false},
      newlineKind: 'lf',
      messages: {extractorMessageReporting: {default: {logLevel: 'none'}}, compilerMessageReporting: {default: {logLevel: 'warning'}}, tsdocMessageReporting: {default: {logLevel: 'none'}}},
    },
  });
  const {succeeded, apiReportChanged} = Extractor.invoke(config, {localBuild, showVerboseMessages: false, messageCallback: (message) => {
    if (message.messageId !== 'console-compiler-version-notice') return;
    message.handled = true;
  }});
  if (!succeeded || (apiReportChanged && !localBuild)) {
    console.error(`the API of ${entry} differs from api/${entry}.api.md: see to it that this is meant, then run npm run api -- --update`);
    process.exit(1);
  }
}
