import {defineConfig} from 'vitest/config';
import {eagerInRolldown} from './scripts/eager.mjs';

export default defineConfig({
  test: {
    projects: [
      // What is shipped is tested: the functions as the build writes them.
      {plugins: [eagerInRolldown], test: {name: 'unit', include: ['test/*.test.ts'], environment: 'happy-dom', restoreMocks: true, unstubGlobals: true}},
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
