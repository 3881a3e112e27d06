#!/usr/bin/env node
/**
 * Compiles the addon in an installed package, for a platform that no prebuilt package exists for:
 * `npx peft-native-build`. A clone of the repository uses `node tools/native/build-native.mjs`
 * instead.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HELP = `peft-native-build: compiles the addon of @peft/native for this machine

  npx peft-native-build

Needs a C++20 compiler, make and Python 3 (Debian: apt-get install g++ make python3; macOS: xcode-select --install;
Windows: Visual Studio Build Tools with C++). Takes about a minute, and once for each installation of @peft/native.`;

const words = process.argv.slice(2);
if (words.length > 0) {
  const isHelp = words[0] === '--help' || words[0] === '-h';
  (isHelp ? console.log : console.error)(
    isHelp ? HELP : `peft-native-build: takes no arguments, got ${words.join(' ')}\n\n${HELP}`,
  );
  process.exit(isHelp ? 0 : 2);
}

const folder = fileURLToPath(new URL('..', import.meta.url));
const prefix = resolve(dirname(process.execPath), '..');
const nodeGyp = [
  process.env.npm_config_node_gyp,
  ...['lib', '.', 'share'].map((place) =>
    join(prefix, place, 'node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
  ),
].find((path) => path && existsSync(path));
if (!nodeGyp) {
  console.error(
    `peft-native-build: npm's node-gyp was not found near ${process.execPath}. Run it ` +
      'through npm: npx peft-native-build',
  );
  process.exit(1);
}
const hasHeaders = existsSync(join(prefix, 'include', 'node', 'node_api.h'));
const { status } = spawnSync(
  process.execPath,
  [
    nodeGyp,
    'rebuild',
    `--jobs=${availableParallelism()}`,
    ...(hasHeaders ? [`--nodedir=${prefix}`] : []),
  ],
  { cwd: folder, stdio: 'inherit' },
);
console.log(
  status === 0
    ? `compiled ${join(folder, 'build', 'Release', 'peft_native.node')}`
    : 'peft-native-build: not compiled, see above. Everything works without it on the portable engine, more slowly.',
);
process.exit(status ?? 1);
