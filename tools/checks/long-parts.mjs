/** What takes too long for every change: name, what it covers, its command, its environment. */
export const LONG_PARTS = Object.freeze([
  {
    name: 'sanitizer',
    covers: 'the C++ under address and undefined-behaviour checks; on any change of it',
    command: ['npm', 'run', 'test:sanitize', '--', 'packages/engines/native'],
  },
  {
    name: 'fuzz-addon',
    covers: 'odd arguments to every function of the addon with those checks; after the part before',
    command: ['node', 'tools/native/fuzz-addon.mjs', '--sanitize', '--calls', '100000'],
  },
  {
    name: 'instructions',
    covers:
      'the engine, generation and the golden cases with instructions that are not chosen here',
    command: ['node', 'tools/native/test-instructions.mjs', '--all'],
  },
  {
    name: 'long-tests',
    covers: 'tests that need minutes each: kills, full disks, long runs',
    command: ['npm', 'test'],
    env: { PEFT_LONG_TESTS: '1' },
  },
  {
    name: 'golden',
    covers: 'golden cases of every method and model on the native engine',
    command: ['npm', 'run', 'test:golden', '--', '--fixtures', 'packages/testing/fixtures'],
  },
  {
    name: 'consumers',
    covers: 'the packed packages in projects of strangers',
    command: ['npx', 'vitest', 'run', 'tools/packed-install'],
    env: { PEFT_LONG_TESTS: '1' },
  },
]);
