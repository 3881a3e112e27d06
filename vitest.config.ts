import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@peft/source'] },
  ssr: {
    resolve: {
      conditions: ['@peft/source', 'node', 'import', 'default'],
      externalConditions: ['@peft/source', 'node', 'import', 'default'],
    },
  },
  test: {
    include: [
      'packages/**/{src,test}/**/*.test.ts',
      'examples/*/**/*.test.ts',
      'tools/**/*.test.ts',
      'benchmarks/**/*.test.ts',
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    globalSetup: ['./tools/test-setup/quick-model.ts'],
    setupFiles: [
      './tools/test-setup/typed-array-equality.ts',
      './tools/test-setup/cpu-backend.ts',
      './tools/test-setup/known-driver.ts',
    ],
    pool: 'forks',
    maxWorkers: 2,
    // A process reads the packages once for all its files: a third of the time of the whole.
    isolate: false,
    unstubEnvs: true,
    restoreMocks: true,
    // tfjs's attention layer is in no entry point, and its own files leave out the .js of their
    // imports.
    server: { deps: { inline: [/tfjs-layers\/dist\/(?!tf-layers)/] } },
    reporters: ['default', './tools/closing-line-reporter.ts'],
  },
});
