import {readFile} from 'node:fs/promises';
import {parseAst} from 'rolldown/parseAst';

/** Functions of modules that run while `init` does. The table is checked against what really runs by `test/browser/eager.test.ts`. */
const OUTER = `
  autoTransport beaconTransport breadcrumbs clicks consoleCapture createClient createDelivery declarative defaultIntegrations deferring device
  endpointOf errors fetchTransport fold forms id imageTransport init pageViews patch requests resourceErrors scrubUrl sessions start texts
  timeOnPage xhrTransport`.trim().split(/\s+/);
/** What runs inside of them: methods, and functions that are declared before they are used. */
const INNER = ['guard', 'listen', 'makePage', 'onLeave', 'process', 'setup'];

/**
 * Puts functions that run when a page starts in parentheses, in TypeScript source. Engines skim a function when they read a script and
 * compile it when it is called, unless it is in parentheses: then it is expected to be called, and read once, off the main thread where the
 * engine reads the whole script there. https://v8.dev/blog/preparser#pife Bundlers keep the parentheses or drop them; either is harmless.
 *
 * Constants that are numbers are written where they are used, which is shorter; esbuild does so only in modules without imports.
 *
 * A declaration cannot stand in parentheses, so the functions of a module become `var`s with an arrow function; all of them, because what is
 * written the same way compresses better. Only `script.ts` calls its own while it is evaluated, before they would be there; it is left alone.
 *
 * @param {string} source
 * @param {string} path
 */
export function eager(source, path) {
  if (path.endsWith('/script.ts')) return source;
  const edits = [];
  const arrows = new Set();
  const program = parseAst(source, {lang: 'ts'}, path);
  /** Where constants that are numbers are declared, and what they are. */
  const numbers = new Map();
  for (const {kind, declarations: [{id, init} = {}] = []} of program.body) {
    if (kind === 'const' && typeof init?.value === 'number') numbers.set(id.name, [id.start, init.raw]);
  }

  function visit(node, depth, inArrow) {
    const {type, method, value} = node;
    if (type === 'ThisExpression' && inArrow) throw new Error(`${path}: a function that is made an arrow function has no \`this\``);
    const [declared, number] = (type === 'Identifier' && numbers.get(node.name)) || [];
    if (number && declared !== node.start) edits.push([node.start, node.end, number]);
    const func = type === 'Property' && method ? value : type === 'FunctionDeclaration' ? node : undefined;
    const name = (node.key ?? node.id)?.name;
    const hinted = (depth ? INNER : OUTER).includes(name);
    if (name && func && (hinted || !depth)) {
      arrows.add(func);
      const [open, close] = hinted ? ['(', ')'] : ['', ''];
      const parameters = func.typeParameters?.start ?? source.indexOf('(', (node.key ?? node.id).end);
      edits.push([node.start, parameters, `${method ? `${name}: ` : `var ${name} = `}${open}${func.async ? 'async ' : ''}`]);
      edits.push([func.body.start, func.body.start, '=> ']);
      edits.push([func.end, func.end, close + (method ? '' : ';')]);
    }
    const ownThis = /^(Function|Class)/.test(type);
    for (const child of Object.values(node).flat()) {
      if (child?.type) visit(child, depth + +/Function/.test(type), ownThis ? arrows.has(node) : inArrow);
    }
  }

  visit(program, 0, false);
  let result = '';
  let at = 0;
  for (const [start, end, text] of edits.sort(([a], [b]) => a - b)) {
    result += source.slice(at, start) + text;
    at = end;
  }
  return result + source.slice(at);
}

/** Of this package; dependencies are not TypeScript. */
const filter = /\/src\/.*\.ts$/;

/** For esbuild. @type {import('esbuild').Plugin} */
export const eagerInEsbuild = {
  name: 'eager',
  setup: (build) => build.onLoad({filter}, async ({path}) => ({contents: eager(await readFile(path, 'utf8'), path), loader: 'ts'})),
};

/** For Rolldown and Vite. Lines stay where they are, so a source map without columns of its own is right enough. */
export const eagerInRolldown = {
  name: 'eager',
  enforce: 'pre',
  transform: {filter: {id: filter}, handler: (code, path) => ({code: eager(code, path), map: null})},
};
