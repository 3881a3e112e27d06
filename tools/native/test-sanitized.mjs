/**
 * Runs the test suite on the addon with address and undefined-behaviour checks: `npm run
 * test:sanitize [-- FILES AND OPTIONS OF VITEST]`.
 *
 * Compiles it first (GCC or Clang on Linux). A fault ends the test's process with the sanitiser's
 * report. Leaks are not looked for: Node's own allocations would drown them. Several times slower
 * than the plain suite.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sanitizerEnvironment, sanitizerLibraries } from './sanitizer.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

function fail(message) {
  console.error(`test:sanitize: ${message}`);
  process.exit(1);
}

if (process.platform !== 'linux') fail(`works on Linux only, this is ${process.platform}.`);
if (
  spawnSync(process.execPath, [join(root, 'tools/native/build-native.mjs'), '--sanitize'], {
    stdio: 'inherit',
  }).status !== 0
)
  fail('the addon was not compiled.');

if (sanitizerLibraries().length === 0)
  fail(
    `${process.env.CXX ?? 'g++'} has no libasan.so; install the compiler's sanitiser libraries.`,
  );

const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--testTimeout=600000',
    '--hookTimeout=600000',
    ...process.argv.slice(2),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...sanitizerEnvironment(),
      PEFT_NATIVE_ADDON: join(
        root,
        'packages/engines/native/build/sanitize/build/Release/peft_native.node',
      ),
    },
  },
);
process.exit(status ?? 1);
