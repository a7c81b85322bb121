/**
 * The text as UTF-8, compressed. Undefined when there is no compressor, as in Safari before 16.4 and Firefox before 113, or no time for
 * it: when the page is left meanwhile, this is decided before its last listener has run, so that the text can still go.
 */
export function gzip(body: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  return new Promise((resolve) => {
    const done = (result: unknown): void => {
      removeEventListener('pagehide', done);
      resolve(result instanceof ArrayBuffer ? new Uint8Array(result) : undefined);
    };
    addEventListener('pagehide', done);
    compress(body).then(done, done);
  });
}

async function compress(body: string): Promise<ArrayBuffer> {
  return new Response(new Blob([body]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer();
}
