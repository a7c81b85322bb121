import {defineConfig} from 'vite';

export default defineConfig({
  // The SDK is a folder beside this one, with a React of its own for its tests.
  resolve: {dedupe: ['react', 'react-dom']},
});
