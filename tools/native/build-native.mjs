/**
 * Compiles the addons of @peft/native and @peft/mpi: `node tools/native/build-native.mjs
 * [--optional] [--sanitize | --prebuilt]`.
 *
 * --optional: where they cannot be compiled, say why in one paragraph and succeed (the portable
 * engine takes over). --sanitize: @peft/native's alone, into packages/engines/native/build/sanitize,
 * with address and undefined-behaviour checks. --prebuilt: for a release: the C++ library is linked
 * in, so that the addons run on older systems. PEFT_SKIP_NATIVE_BUILD=1 with --optional: do nothing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { linkedSources } from './linked-sources.mjs';

const options = new Set(process.argv.slice(2));
const optional = options.has('--optional');
const sanitize = options.has('--sanitize');
const definitions = [
  ...(sanitize ? ['-Dsanitize=1'] : []),
  ...(options.has('--prebuilt') ? ['-Dprebuilt=1'] : []),
];
const folderOf = (place) => fileURLToPath(new URL(`../../packages/${place}`, import.meta.url));
const ADDONS = [
  {
    name: '@peft/native',
    folder: folderOf('engines/native'),
    without: 'Everything works without it, but training runs on the much slower portable engine',
  },
  {
    name: '@peft/mpi',
    folder: folderOf('mpi'),
    without: 'Everything but runs on several machines works without it',
  },
].slice(0, sanitize ? 1 : undefined);

function give({ name, without }, reason, details = '') {
  const line =
    `${name} was not compiled: ${reason}. ${without}. To compile it, install a C++20 compiler, ` +
    'make and Python 3 (Debian: apt-get install g++ make python3; macOS: xcode-select --install; ' +
    'Windows: Visual Studio Build Tools with C++), then run: node ' +
    'tools/native/build-native.mjs';
  if (details) console.error(details);
  (optional ? console.warn : console.error)(line);
  process.exit(optional ? 0 : 1);
}

if (optional && process.env.PEFT_SKIP_NATIVE_BUILD === '1') process.exit(0);
for (const addon of ADDONS)
  if (!existsSync(join(addon.folder, 'binding.gyp'))) give(addon, 'its sources are missing');

const prefix = resolve(dirname(process.execPath), '..');
const hasHeaders = existsSync(join(prefix, 'include', 'node', 'node_api.h'));
let nodeGyp;
try {
  nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
} catch {
  give(ADDONS[0], 'node-gyp is not installed (run npm ci first)');
}

for (const addon of ADDONS) compile(addon);

function compile(addon) {
  const cwd = sanitize ? linkedSources(addon.folder, 'sanitize') : addon.folder;
  const started = performance.now();
  for (const command of ['configure', 'build']) {
    const { status, stdout, stderr, error } = run(command, cwd);
    if (status === 0) continue;
    const output = `${stdout ?? ''}${stderr ?? ''}`;
    if (
      /not found: make|make: not found|`make` failed.*ENOENT/i.test(output) ||
      /find Python|not found: python|find Visual Studio|No Xcode/i.test(output) ||
      /(g\+\+|c\+\+|clang\+\+): (not found|No such file)/.test(output)
    )
      give(addon, 'the build tools are missing', '');
    give(
      addon,
      `node-gyp ${command} failed${error ? `: ${error.message}` : ''}`,
      output.split('\n').slice(-40).join('\n'),
    );
  }
  console.log(
    `${addon.name} was compiled in ${Math.round((performance.now() - started) / 1000)} s.`,
  );
}

function run(command, cwd) {
  return spawnSync(
    process.execPath,
    [
      nodeGyp,
      command,
      ...(command === 'configure' ? [] : [`--jobs=${availableParallelism()}`]),
      ...(hasHeaders ? [`--nodedir=${prefix}`] : []),
      ...(command === 'configure' && definitions.length > 0 ? ['--', ...definitions] : []),
    ],
    { cwd, encoding: 'utf8' },
  );
}
