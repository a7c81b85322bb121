// What to show of a stack. The service reads the text of `Error.stack`; here its frames are sorted by whose code they are.

import type { Frame } from '../api/types.ts';

export type Origin = 'own' | 'library' | 'extension' | 'native';

const LIBRARY_HOSTS = /^https?:\/\/(unpkg\.com|esm\.sh|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|ajax\.googleapis\.com|code\.jquery\.com|www\.googletagmanager\.com|www\.google-analytics\.com|connect\.facebook\.net)\//;
const LIBRARY_PATHS = /\/node_modules\/|\/bower_components\/|[/._-](vendors?|polyfills?)[/._~-]|\/(react|react-dom|preact|vue|jquery|lodash|angular|zone|svelte)([.@-][\w.-]*)?\.m?js|\/webpack\/runtime\//;

export function originOf({ file, in_app }: Pick<Frame, 'file' | 'in_app'>): Origin {
  if (/^(webkit-masked-url|[a-z-]+-extension):/.test(file)) return 'extension';
  if (file === '' || /^(node|native):/.test(file)) return 'native';
  // The names of libraries count in the path only: vendor.example is a host like any other.
  const path = file.replace(/^[a-z]+:\/\/[^/]*/, '');
  return !in_app || LIBRARY_HOSTS.test(file) || LIBRARY_PATHS.test(path) ? 'library' : 'own';
}

/** What to show of a file: its path without host, query and fragment. */
export function shortFile(file: string): string {
  try {
    const url = new URL(file);
    return url.pathname === '/' ? url.host : `${url.pathname.replace(/^\//, '')}`;
  } catch {
    return file;
  }
}

/** `assets/app.js:10:5`; of WebAssembly the offset in the module. */
export function placeOf({ file, line, column }: Frame): string {
  if (file === '') return '';
  if (line === 0) return column === 0 ? shortFile(file) : `${shortFile(file)} +0x${column.toString(16)}`;
  return [shortFile(file), line, ...(column === 0 ? [] : [column])].join(':');
}

/** The frames with those in a row that are not the application's put together; one alone stays as it is, since a row that opens takes as much space. */
export function foldedFrames(frames: readonly Frame[]): (Frame | Frame[])[] {
  const parts: (Frame | Frame[])[] = [];
  let row: Frame[] = [];
  const end = () => {
    if (row.length > 1) parts.push(row);
    else parts.push(...row);
    row = [];
  };
  for (const frame of frames) {
    if (originOf(frame) === 'own') {
      end();
      parts.push(frame);
    } else row.push(frame);
  }
  end();
  return parts;
}
