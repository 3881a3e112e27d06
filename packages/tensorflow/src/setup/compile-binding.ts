/** Compiles tfjs-node's addon, from its own two sources, against the TensorFlow library that was unpacked. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { BINDING_FILE } from '../installation.js';
import { offline } from './download.js';
import { lastLines, runCommand } from './run-command.js';

/** Relative to the setup's folder, so that it may be moved. */
const LIBRARIES = 'site/tensorflow';

/** @param folder with `site/tensorflow` and `tfjs-node`. @throws PEFT_SETUP_COMPILE, PEFT_SETUP_TOOLS, PEFT_SETUP_OFFLINE */
export async function compileBinding(folder: string, signal?: AbortSignal): Promise<void> {
  writeFileSync(join(folder, 'binding.gyp'), `${JSON.stringify(gypFile(libraryFiles(join(folder, LIBRARIES))), null, 2)}\n`);
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const prefix = resolve(dirname(process.execPath), '..');
  const headers = existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : []; // else node-gyp downloads them
  const { status, output } = await runCommand(process.execPath, [nodeGyp, 'rebuild', '--jobs=2', ...headers], { cwd: folder, signal });
  if (status === 0 && existsSync(join(folder, BINDING_FILE))) return;
  if (/not found: make|make: not found|find Python|No Xcode|(g\+\+|c\+\+|clang\+\+): (not found|No such file)/i.test(output)) {
    throw new PeftError('PEFT_SETUP_TOOLS', 'setup: a C++ compiler, make or Python is missing, which compile the addon.', { hint: 'Debian: apt-get install g++ make python3; macOS: xcode-select --install' });
  }
  if (/(ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|network)/i.test(output) && headers.length === 0) throw offline("Node's headers", 'node-gyp found no network');
  throw new PeftError('PEFT_SETUP_COMPILE', `setup: tfjs-node's addon could not be compiled against this TensorFlow:\n${lastLines(output, 25)}`, { hint: 'try another TensorFlow with --tensorflow (2.21.0 is known to work)' });
}

/** The names to link against, most complete first. @throws PEFT_SETUP_ARCHIVE when there is no library */
export function libraryFiles(folder: string): string[] {
  const files = existsSync(folder) ? readdirSync(folder).sort((a, b) => a.length - b.length) : [];
  const wanted = [/^libtensorflow(_cc)?\.(so|(\d+\.)*dylib)/, /^libtensorflow_framework\.(so|(\d+\.)*dylib)/].map((pattern) => files.find((file) => pattern.test(file)));
  if (!wanted[0]) throw new PeftError('PEFT_SETUP_ARCHIVE', 'setup: there is no libtensorflow in what was given.', { hint: 'name a wheel of tensorflow or tensorflow-cpu, an official libtensorflow archive, or the folder of an installed tensorflow package' });
  return wanted.filter((file) => file !== undefined);
}

function gypFile(libraries: readonly string[]): object {
  return {
    targets: [{
      target_name: 'tfjs_binding',
      sources: ['tfjs-node/binding/tfjs_backend.cc', 'tfjs-node/binding/tfjs_binding.cc'],
      include_dirs: [`${LIBRARIES}/include`],
      defines: ['NAPI_VERSION=8'],
      conditions: [
        ["OS=='linux'", { libraries: [`-Wl,-rpath,\\$$ORIGIN/../../${LIBRARIES}`, ...libraries.map((file) => `-l:${file}`)], library_dirs: [`<(module_root_dir)/${LIBRARIES}`] }],
        ["OS=='mac'", { libraries: libraries.map((file) => `<(module_root_dir)/${LIBRARIES}/${file}`), xcode_settings: { OTHER_LDFLAGS: [`-Wl,-rpath,@loader_path/../../${LIBRARIES}`] } }],
      ],
    }],
  };
}
