import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Relative: the service is mounted wherever the host likes, and the same files must work there.
  base: './',
  // `npm run dev` asks the stand-in that `npm run mock` starts.
  server: { proxy: { '^/(query|live|login|logout)': { target: 'http://127.0.0.1:8099', rewrite: (path) => `/monitor${path}` } } },
  build: {
    outDir: 'dist',
    assetsDir: 'assets',
    target: 'es2022',
    // Inlined assets would need `data:` in more directives of the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // ECharts is one lazy chunk; its size is watched by scripts/sizes.mjs instead.
    chunkSizeWarningLimit: 700,
  },
  test: { include: ['test/*.test.ts'], environment: 'node' },
});
