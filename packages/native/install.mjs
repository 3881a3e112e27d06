/**
 * Compiles the addon where the package was installed from a registry. Never fails the installation: without the addon the
 * portable engine takes over, and the line printed says how to get it. `PEFT_SKIP_NATIVE_BUILD=1`: do nothing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const isClone = existsSync(join(folder, 'src')); // there the repository compiles it
const isCompiled = existsSync(join(folder, 'build', 'Release', 'peft_native.node'));

if (!isClone && !isCompiled && process.env.PEFT_SKIP_NATIVE_BUILD !== '1') compile();

function compile() {
  const nodeGyp = process.env.npm_config_node_gyp; // npm's own copy
  const prefix = resolve(dirname(process.execPath), '..');
  const hasHeaders = existsSync(join(prefix, 'include', 'node', 'node_api.h'));
  const options = ['rebuild', `--jobs=${availableParallelism()}`, ...(hasHeaders ? [`--nodedir=${prefix}`] : [])];
  const { status, stdout, stderr } = nodeGyp ? spawnSync(process.execPath, [nodeGyp, ...options], { cwd: folder, encoding: 'utf8' }) : { status: 1, stdout: '', stderr: 'npm did not say where node-gyp is' };
  if (status === 0) return;
  const reason = `${stdout}${stderr}`.trim().split('\n').findLast((line) => /error|not found|not say/i.test(line)) ?? 'node-gyp failed';
  console.warn(`@peft/native was not compiled: ${reason.trim()}. Everything works without it on the portable engine, more slowly. Install a C++20 compiler, make and Python 3, then run: npm rebuild @peft/native`);
}
