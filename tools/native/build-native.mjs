/**
 * Compiles the addon of @peft/native: `node tools/native/build-native.mjs [--optional] [--sanitize
 * | --prebuilt]`.
 *
 * --optional: where it cannot be compiled, say why in one paragraph and succeed (the portable
 * engine takes over). --sanitize: into packages/engines/native/build/sanitize, with address and
 * undefined-behaviour checks. --prebuilt: for a release: the C++ library is linked in, so that the
 * addon runs on older systems. PEFT_SKIP_NATIVE_BUILD=1 with --optional: do nothing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const options = new Set(process.argv.slice(2));
const optional = options.has('--optional');
const sanitize = options.has('--sanitize');
const definitions = [
  ...(sanitize ? ['-Dsanitize=1'] : []),
  ...(options.has('--prebuilt') ? ['-Dprebuilt=1'] : []),
];
const folder = fileURLToPath(new URL('../../packages/engines/native', import.meta.url));

function give(reason, details = '') {
  const line =
    `@peft/native was not compiled: ${reason}. Everything works without it, but training ` +
    'runs on the much slower portable engine. To compile it, install a C++20 compiler, make ' +
    'and Python 3 (Debian: apt-get install g++ make python3; macOS: xcode-select --install; ' +
    'Windows: Visual Studio Build Tools with C++), then run: node ' +
    'tools/native/build-native.mjs';
  if (details) console.error(details);
  (optional ? console.warn : console.error)(line);
  process.exit(optional ? 0 : 1);
}

if (optional && process.env.PEFT_SKIP_NATIVE_BUILD === '1') process.exit(0);
if (!existsSync(join(folder, 'binding.gyp'))) give('its sources are missing');

const prefix = resolve(dirname(process.execPath), '..');
const hasHeaders = existsSync(join(prefix, 'include', 'node', 'node_api.h'));
let nodeGyp;
try {
  nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
} catch {
  give('node-gyp is not installed (run npm ci first)');
}

/**
 * node-gyp always builds into ./build, so the sanitised form gets a folder of its own that links to
 * the sources.
 */
function sanitizeFolder() {
  const target = join(folder, 'build', 'sanitize');
  mkdirSync(target, { recursive: true });
  for (const name of ['cpp', 'binding.gyp'])
    if (!existsSync(join(target, name))) symlinkSync(join(folder, name), join(target, name));
  return target;
}

const cwd = sanitize ? sanitizeFolder() : folder;
const run = (command) =>
  spawnSync(
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

const started = performance.now();
for (const command of ['configure', 'build']) {
  const { status, stdout, stderr, error } = run(command);
  if (status === 0) continue;
  const output = `${stdout ?? ''}${stderr ?? ''}`;
  if (
    /not found: make|make: not found|`make` failed.*ENOENT/i.test(output) ||
    /find Python|not found: python|find Visual Studio|No Xcode/i.test(output) ||
    /(g\+\+|c\+\+|clang\+\+): (not found|No such file)/.test(output)
  )
    give('the build tools are missing', '');
  give(
    `node-gyp ${command} failed${error ? `: ${error.message}` : ''}`,
    output.split('\n').slice(-40).join('\n'),
  );
}
console.log(`@peft/native was compiled in ${Math.round((performance.now() - started) / 1000)} s.`);
