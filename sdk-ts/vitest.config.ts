import {defineConfig} from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {test: {name: 'unit', include: ['test/*.test.ts'], environment: 'happy-dom', restoreMocks: true, unstubGlobals: true}},
      {
        test: {
          name: 'browser',
          include: ['test/browser/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          // A real browser and a real receiver share the machine with whatever else runs: what fails twice is a fault.
          retry: 1,
        },
      },
    ],
  },
});
