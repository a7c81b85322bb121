// Reads the text of `Error.stack` as Chrome (V8), Firefox (SpiderMonkey) and Safari (JavaScriptCore) write it.
//
//   V8            TypeError: x is not a function
//                     at Cart.render (https://shop.example/app.js:10:5)
//                     at https://shop.example/app.js:3:1
//   Firefox       render@https://shop.example/app.js:10:5
//   Safari        render@https://shop.example/app.js:10:5
//                 map@[native code]
//
// The text comes from strangers: lines are cut and counted, and locations are found from the end of the line
// with fixed steps rather than with a pattern that can backtrack.

export type Origin = 'own' | 'library' | 'extension' | 'native';

export interface Frame {
  /** Empty for anonymous functions. */
  function: string;
  /** Address or file; empty for native code. */
  file: string;
  line: number | null;
  column: number | null;
  origin: Origin;
  isAsync: boolean;
  raw: string;
}

const MAX_FRAMES = 200;
const MAX_LINE = 2_000;

export function parseStack(stack: string): Frame[] {
  const frames: Frame[] = [];
  for (const text of stack.slice(0, MAX_FRAMES * MAX_LINE).split('\n')) {
    if (frames.length === MAX_FRAMES) break;
    const line = text.slice(0, MAX_LINE).trim();
    const frame = v8Frame(line) ?? geckoFrame(line);
    if (frame) frames.push(frame);
  }
  return frames;
}

function v8Frame(line: string): Frame | null {
  if (!line.startsWith('at ')) return null;
  let rest = line.slice(3).trim();
  const isAsync = rest.startsWith('async ');
  if (isAsync) rest = rest.slice(6);
  const open = rest.indexOf(' (');
  if (open >= 0 && rest.endsWith(')')) {
    return frameOf({ name: rest.slice(0, open), location: v8Location(rest.slice(open + 2, -1)), isAsync, raw: line });
  }
  // Without parentheses the rest is a location, or the bare name of a function without one.
  const location = locationOf(rest);
  if (location.line !== null || isNative(rest)) return frameOf({ name: '', location: rest, isAsync, raw: line });
  return frameOf({ name: rest, location: '', isAsync, raw: line });
}

/** `eval at run (https://shop.example/app.js:1:2), <anonymous>:1:1`: the outermost real file is what one can open. */
function v8Location(text: string): string {
  if (!text.startsWith('eval at ')) return text;
  const open = text.lastIndexOf('(');
  const close = text.indexOf(')', open);
  return open >= 0 && close > open ? text.slice(open + 1, close) : text;
}

function geckoFrame(line: string): Frame | null {
  const at = line.indexOf('@');
  if (at < 0) {
    // Safari writes global code of some versions as a bare address.
    const location = locationOf(line);
    return location.line !== null && /^(https?|file|blob|[a-z-]+-extension):/.test(line)
      ? frameOf({ name: '', location: line, isAsync: false, raw: line })
      : null;
  }
  let name = line.slice(0, at);
  let location = line.slice(at + 1);
  // A message line may hold an @ as well (an address in a text): a frame has a location behind it.
  if (locationOf(location).line === null && !isNative(location)) return null;
  // `async*load`, `promise callback*load`, `setTimeout handler*load`: how the call was reached.
  const star = name.lastIndexOf('*');
  const isAsync = star >= 0;
  if (star >= 0) name = name.slice(star + 1);
  // `app.js line 5 > eval:1:1`
  const evaluated = location.indexOf(' > ');
  if (evaluated >= 0) location = location.slice(0, evaluated).replace(' line ', ':');
  return frameOf({ name: name.replace(/[/<]+$/, ''), location, isAsync, raw: line });
}

interface Parts {
  name: string;
  location: string;
  isAsync: boolean;
  raw: string;
}

function frameOf({ name, location, isAsync, raw }: Parts): Frame {
  const native = location !== '' && isNative(location);
  const { file, line, column } = native ? { file: '', line: null, column: null } : locationOf(location);
  const plain = name.trim();
  return {
    function: plain === '<anonymous>' || plain === 'anonymous' ? '' : plain,
    file, line, column, origin: native || file === '' ? 'native' : originOf(file), isAsync, raw,
  };
}

function isNative(location: string): boolean {
  return location === 'native' || location === '<anonymous>' || location === '[native code]' || location.startsWith('native ')
    // `at async Promise.all (index 0)`
    || /^index \d+$/.test(location);
}

/** Splits `file:line:column` from the end, since the file may hold colons itself. */
function locationOf(text: string): { file: string; line: number | null; column: number | null } {
  const last = numberAtEnd(text);
  if (!last) return { file: text, line: null, column: null };
  const before = numberAtEnd(last.rest);
  return before
    ? { file: before.rest, line: before.number, column: last.number }
    : { file: last.rest, line: last.number, column: null };
}

function numberAtEnd(text: string): { rest: string; number: number } | null {
  const colon = text.lastIndexOf(':');
  if (colon <= 0) return null;
  const digits = text.slice(colon + 1);
  return /^\d{1,9}$/.test(digits) ? { rest: text.slice(0, colon), number: Number(digits) } : null;
}

const LIBRARY_HOSTS = /^https?:\/\/(unpkg\.com|esm\.sh|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|ajax\.googleapis\.com|code\.jquery\.com|www\.googletagmanager\.com|www\.google-analytics\.com|connect\.facebook\.net)\//;
const LIBRARY_PATHS = /\/node_modules\/|\/bower_components\/|[/._-](vendors?|polyfills?)[/._~-]|\/(react|react-dom|preact|vue|jquery|lodash|angular|zone|svelte)([.@-][\w.-]*)?\.m?js|\/webpack\/runtime\//;

export function originOf(file: string): Origin {
  if (/^[a-z-]+-extension:/.test(file)) return 'extension';
  if (/^(node|native|wasm):/.test(file)) return 'native';
  // The names of libraries count in the path only: vendor.example is a host like any other.
  const path = file.replace(/^[a-z]+:\/\/[^/]*/, '');
  return LIBRARY_HOSTS.test(file) || LIBRARY_PATHS.test(path) ? 'library' : 'own';
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
