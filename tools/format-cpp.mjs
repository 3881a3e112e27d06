/**
 * Formats the C++ of the engines with clang-format: `node tools/format-cpp.mjs [--check]`.
 *
 * Versions of clang-format differ in details: where another than VERSION is installed, or none, it
 * says so and succeeds. CLANG_FORMAT names another program.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './packages.mjs';

const FOLDERS = [
  'packages/engines/native/cpp',
  'packages/engines/tensorflow/cpp',
  'packages/mpi/cpp',
  'benchmarks/decode',
  'benchmarks/gemm',
];
/** Major version that the sources are formatted with: Debian 12's. */
const VERSION = 14;
const program = process.env.CLANG_FORMAT ?? 'clang-format';
const check = process.argv.includes('--check');

const { status: found, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
const version = found === 0 ? Number(/version (\d+)\./.exec(stdout)?.[1]) : undefined;
if (version !== VERSION) {
  const reason =
    version === undefined ? 'is not installed' : `is version ${version}, not ${VERSION}`;
  console.log(`The C++ was not ${check ? 'checked' : 'formatted'}: ${program} ${reason}.`);
  process.exit(0);
}

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true })
    .filter((file) => /\.(cc|h|cpp)$/.test(file))
    .map((file) => join(folder, file)),
);
const mode = check ? ['--dry-run', '--Werror'] : ['-i'];
const { status } = spawnSync(program, [...mode, ...files], { cwd: ROOT, stdio: 'inherit' });
if (status === 0) console.log(`${files.length} C++ files: ${stdout.trim()}`);
process.exit(status ?? 1);
