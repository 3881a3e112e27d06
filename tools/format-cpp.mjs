/**
 * Formats the C++ of the engines with clang-format: `node tools/format-cpp.mjs [--check]`.
 *
 * Where clang-format is not installed it says so and succeeds. CLANG_FORMAT names another program.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './packages.mjs';

const FOLDERS = ['packages/engines/native/cpp', 'packages/engines/tensorflow/cpp', 'benchmarks/gemm'];
const program = process.env.CLANG_FORMAT ?? 'clang-format';
const check = process.argv.includes('--check');

const { status: found, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
if (found !== 0) {
  console.log(`The C++ was not ${check ? 'checked' : 'formatted'}: ${program} is not installed.`);
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
