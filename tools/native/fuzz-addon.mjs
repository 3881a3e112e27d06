/**
 * Calls every function of the addon with odd arguments, in child processes: `node
 * tools/native/fuzz-addon.mjs [--calls 10000] [--seed 1] [--children 2] [--sanitize]`.
 *
 * Wrong types, detached and empty arrays, getters that detach other arguments while options are
 * read, sizes whose product is zero or too large, freed weights, missing files. A call must return,
 * or throw an error whose code begins with PEFT_NATIVE_; a child that dies, or stays in one call for
 * longer than the limit, is reported with its seed, the number of the call and its function, and
 * fails the run. `--sanitize` takes the build with address and undefined-behaviour checks, made by
 * `node tools/native/build-native.mjs --sanitize`.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sanitizerEnvironment } from './sanitizer.mjs';
import { callOf } from './fuzz-calls.mjs';
import { addonPath, loadAddon, signatures } from './fuzz-signatures.mjs';

const SELF = fileURLToPath(import.meta.url);
const { values: options } = parseArgs({
  options: {
    calls: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    children: { type: 'string', default: '2' },
    sanitize: { type: 'boolean', default: false },
    progress: { type: 'string' },
  },
});
const calls = Number(options.calls);
const seed = Number(options.seed);

if (options.progress) runChild(options.progress);
else process.exitCode = (await runParent()) ? 0 : 1;

async function runParent() {
  const children = Math.max(1, Number(options.children));
  const folder = mkdtempSync(join(tmpdir(), 'peft-fuzz-'));
  const started = performance.now();
  try {
    const problems = await Promise.all(
      Array.from({ length: children }, (_, i) =>
        watch(seed + i, Math.ceil(calls / children), join(folder, `progress-${i}`)),
      ),
    );
    const found = problems.filter(Boolean);
    for (const problem of found) console.error(`fuzz-addon: ${problem}`);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `fuzz-addon: ${calls} calls of ${signatures().length} functions from seed ${seed}, ` +
        `${found.length} problems, ${seconds} s${options.sanitize ? ', sanitizer build' : ''}`,
    );
    return found.length === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs one child to its end; what went wrong, or undefined. */
function watch(childSeed, childCalls, progress) {
  const limitMs = options.sanitize ? 120_000 : 20_000;
  closeSync(openSync(progress, 'w'));
  const child = spawn(
    process.execPath,
    [SELF, '--progress', progress, '--seed', `${childSeed}`, '--calls', `${childCalls}`],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        ...(options.sanitize ? sanitizerEnvironment() : {}),
        PEFT_NATIVE_ADDON: addonPath(options.sanitize),
      },
    },
  );
  let errors = '';
  child.stderr.on('data', (text) => (errors = `${errors}${text}`.slice(-4000)));
  let last = '';
  let since = performance.now();
  let isHung = false;
  const timer = setInterval(() => {
    const now = readFileSync(progress, 'utf8');
    if (now !== last) [last, since] = [now, performance.now()];
    if (performance.now() - since < limitMs) return;
    isHung = true;
    child.kill('SIGKILL');
  }, 500);
  return new Promise((resolve) => {
    child.on('close', (status, signal) => {
      clearInterval(timer);
      if (status === 0) return resolve(undefined);
      const where = `seed ${childSeed}, call ${readFileSync(progress, 'utf8').trim()}`;
      const how = isHung ? `hung for ${limitMs / 1000} s` : `ended with ${signal ?? status}`;
      resolve(`${where}: ${how}\n${errors}`);
    });
  });
}

function runChild(progress) {
  const native = loadAddon();
  const file = openSync(progress, 'w');
  for (let index = 0; index < calls; index += 1) {
    const { name, args } = callOf(native, seed, index);
    writeSync(file, `${index} ${name}`.padEnd(60), 0);
    try {
      native[name](...args);
    } catch (error) {
      if (typeof error?.code === 'string' && error.code.startsWith('PEFT_NATIVE_')) continue;
      throw new Error(`${name} threw what it should not: ${error?.stack ?? error}`);
    }
  }
  closeSync(file);
}
