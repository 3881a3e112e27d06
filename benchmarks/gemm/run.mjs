/**
 * Compiles and runs gemm.cc where oneDNN is installed (Debian: apt-get install libdnnl-dev):
 * `node benchmarks/gemm/run.mjs [threads [M N K]]`. Prints a table of GFLOP/s and ratios.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const sources = fileURLToPath(new URL('../../packages/engines/native/cpp', import.meta.url));
const compiler = process.env.CXX ?? 'c++';
const common = [
  '-std=c++20',
  '-O3',
  '-fno-strict-aliasing',
  '-ffp-contract=off',
  '-fno-math-errno',
  '-fno-trapping-math',
  `-I${sources}`,
];
const avx2 = ['-mavx2', '-mfma', '-mf16c'];
const avx512 = [...avx2, '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'];
const flagsOf = {
  'avx2.cc': avx2,
  'avx512.cc': avx512,
  'avx512bf16.cc': [...avx512, '-mavx512bf16'],
  'amx.cc': [...avx512, '-mavx512bf16', '-mamx-tile', '-mamx-bf16'],
  'portable.cc': [],
  'neon.cc': [],
};
const isX86 = process.arch === 'x64';
const hasTiles = isX86 && process.platform === 'linux';
const sets = isX86
  ? ['avx2.cc', 'avx512.cc', 'avx512bf16.cc', 'portable.cc', ...(hasTiles ? ['amx.cc'] : [])]
  : ['neon.cc', 'portable.cc'];

const headers = ['/usr/include', '/usr/local/include', ...(process.env.CPATH ?? '').split(':')];
if (!headers.some((folder) => existsSync(join(folder, 'oneapi/dnnl/dnnl.hpp')))) {
  console.log(
    'oneDNN is not installed, so there is nothing to compare with. Debian: apt-get install libdnnl-dev',
  );
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'peft-gemm-'));
function compile(source, object, flags) {
  const { status, stderr } = spawnSync(
    compiler,
    [
      ...common,
      ...(isX86 ? ['-DPEFT_COMPILED_AVX512BF16'] : []),
      ...(hasTiles ? ['-DPEFT_COMPILED_AMX'] : []),
      ...flags,
      '-c',
      source,
      '-o',
      join(folder, object),
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${compiler} failed on ${source}:\n${stderr}`);
}

try {
  for (const set of sets) compile(join(sources, 'isa', set), `${set}.o`, flagsOf[set]);
  for (const part of ['core', 'gemm'])
    for (const file of readdirSync(join(sources, part)).filter((name) => name.endsWith('.cc')))
      compile(join(sources, part, file), `${part}-${file}.o`, []);
  compile(join(here, 'gemm.cc'), 'main.o', ['-fopenmp']);
  const objects = readdirSync(folder).map((name) => join(folder, name));
  const linked = spawnSync(
    compiler,
    [...objects, '-fopenmp', '-ldnnl', '-pthread', '-o', join(folder, 'gemm')],
    { encoding: 'utf8' },
  );
  if (linked.status !== 0) throw new Error(linked.stderr);
  process.exitCode =
    spawnSync(join(folder, 'gemm'), process.argv.slice(2), { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
