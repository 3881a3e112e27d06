/**
 * What takes too long for every change: name, what it covers, its command, its environment, the
 * line of its output that holds its figures, and the platform that it needs, where it needs one.
 */
const PEFT_LONG_TESTS = { PEFT_LONG_TESTS: '1' };
const vitest = (...words) => ['npx', 'vitest', 'run', ...words];
const CLOSING_LINE = /^\d+ passed, \d+ failed.*$/gm;
/** Test files that are parts of their own. */
const APART = {
  kills: 'tools/kills/kills.test.ts',
  'rank-kills': 'packages/cli/test/rank-kills.test.ts',
  'saved-loads': 'packages/predictor/test/saved-loads.test.ts',
  families: 'packages/cli/test/every-family.test.ts',
  newcomer: 'tools/newcomer/newcomer.test.ts',
};
/** On more ranks and of more methods than for every change; `long-tests` has them, too. */
const RANKS = [
  'packages/mpi/test/mpi.test.ts',
  'packages/cli/test/ranks.test.ts',
  'packages/cli/test/pipeline.test.ts',
  'packages/cli/test/slurm.test.ts',
  'packages/trainer/test/shards.test.ts',
];
const CI = '.github/workflows/ci.yml';

export const LONG_PARTS = Object.freeze([
  {
    name: 'sanitizer',
    covers: 'the C++ under address and undefined-behaviour checks; on any change of it',
    command: ['npm', 'run', 'test:sanitize', '--', 'packages/engines/native'],
    figures: CLOSING_LINE,
  },
  {
    name: 'sanitizer-runs',
    covers: 'training, generation and QLoRA with those checks: hours',
    command: [
      ...['npm', 'run', 'test:sanitize', '--'],
      ...['packages/trainer', 'packages/generation', 'packages/methods/qlora'],
    ],
    figures: CLOSING_LINE,
  },
  {
    name: 'fuzz-addon',
    covers: 'odd arguments to every function of the addon with those checks; after `sanitizer`',
    command: ['node', 'tools/native/fuzz-addon.mjs', '--sanitize', '--calls', '100000'],
    figures: /^.*calls.*$/gm,
  },
  {
    name: 'fuzz',
    covers: 'spoilt files for every reader of files, for an hour',
    command: ['npm', 'run', 'fuzz', '--', '--seconds', '3600'],
    figures: /^\d+ cases with seed .*$/gm,
  },
  {
    name: 'instructions',
    covers:
      'the engine, generation and the golden cases with instructions that are not chosen here',
    command: ['node', 'tools/native/test-instructions.mjs', '--all'],
    figures: CLOSING_LINE,
  },
  {
    name: 'neon',
    covers:
      "the engine's contract with NEON under QEMU, where a cross-compiler and it are installed",
    command: ['node', 'tools/native/test-neon.mjs'],
    figures: /^\d+ passed, \d+ failed.*$|^test-neon: skipped.*$/gm,
  },
  {
    name: 'kills',
    covers: '200 kills at random instants of fits, of resumed ones and while a model is placed',
    command: vitest(APART.kills),
    env: PEFT_LONG_TESTS,
    figures: /^\d+ kills in \d+ runs$/gm,
  },
  {
    name: 'rank-kills',
    covers: '50 kills of a rank of three at random instants, where Open MPI is installed',
    command: vitest(APART['rank-kills']),
    env: PEFT_LONG_TESTS,
    figures: /^\d+ kills of ranks .*$/gm,
  },
  {
    name: 'ranks',
    covers: 'fits, stages and shared bases on Open MPI, MPICH and Slurm, where they are installed',
    command: vitest(...RANKS),
    env: PEFT_LONG_TESTS,
    figures: CLOSING_LINE,
  },
  {
    name: 'saved-loads',
    covers: 'every method, family and task: fit, and load, predict and evaluate afterwards; hours',
    command: vitest(APART['saved-loads']),
    env: PEFT_LONG_TESTS,
    figures: /^\d+ of \d+ combinations .*$/gm,
  },
  {
    name: 'families',
    covers: 'every family by the command line: inspect, plan, fit by two methods, answers, export',
    command: vitest(APART.families),
    env: PEFT_LONG_TESTS,
    figures: CLOSING_LINE,
  },
  {
    name: 'newcomer',
    covers: 'the README from the first line to the last, a typo, Ctrl-C and --resume',
    command: vitest(APART.newcomer),
    env: PEFT_LONG_TESTS,
    figures: CLOSING_LINE,
  },
  {
    name: 'long-tests',
    covers: 'all other tests, those of samples with all their cases',
    command: ['npm', 'test', '--', ...Object.values(APART).map((file) => `--exclude=${file}`)],
    env: PEFT_LONG_TESTS,
    figures: CLOSING_LINE,
  },
  {
    name: 'golden',
    covers: 'golden cases of every method and model on the native engine',
    command: ['npm', 'run', 'test:golden', '--', '--fixtures', 'packages/testing/fixtures'],
    figures: /^\d+ passed.*$/gm,
  },
  {
    name: 'consumers',
    covers: 'the packed packages in projects of strangers',
    command: vitest('tools/packed-install'),
    env: PEFT_LONG_TESTS,
    figures: CLOSING_LINE,
  },
  {
    name: 'macos',
    covers: `the tests on macOS; ${CI} runs them, too`,
    command: ['npm', 'test'],
    figures: CLOSING_LINE,
    platform: 'darwin',
  },
  {
    name: 'windows',
    covers: `the tests on Windows; ${CI} runs them, too`,
    command: ['npm', 'test'],
    figures: CLOSING_LINE,
    platform: 'win32',
  },
]);
