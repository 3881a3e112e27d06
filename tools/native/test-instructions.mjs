/**
 * Runs the engine's contract suite with each set of instructions that this processor has but would not
 * choose: `node tools/native/test-instructions.mjs [--all] [--isa avx2,portable]`.
 *
 * PEFT_NATIVE_ISA names the set. `--all` runs every test of the native engine, generation and the
 * golden cases in the place of the contract suite alone.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { addonPath } from './fuzz-signatures.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FAST = ['packages/engines/native/test/contract.test.ts'];
const ALL = ['packages/engines/native', 'packages/generation', 'tools/golden'];

const { values: options } = parseArgs({
  options: { all: { type: 'boolean', default: false }, isa: { type: 'string' } },
});

if (!existsSync(addonPath())) {
  console.log('test-instructions: skipped, the addon was not compiled.');
  process.exit(0);
}
const { instructionSet, instructionSets } = createRequire(import.meta.url)(addonPath()).info();
const wanted = options.isa?.split(',') ?? instructionSets.filter((name) => name !== instructionSet);
const isMissing = (name) => !instructionSets.includes(name);
for (const name of options.isa ? wanted.filter(isMissing) : []) {
  console.error(
    `test-instructions: this processor has no ${name}, only ${instructionSets.join(', ')}.`,
  );
  process.exit(2);
}
for (const name of ['amx', 'avx512bf16', 'avx512', 'avx2', 'neon'])
  if (isMissing(name)) console.log(`test-instructions: ${name} skipped, this processor lacks it.`);

for (const name of wanted) {
  console.log(`test-instructions: ${name}`);
  const { status } = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...(options.all ? ALL : FAST)],
    { cwd: ROOT, stdio: 'inherit', env: { ...process.env, PEFT_NATIVE_ISA: name } },
  );
  if (status !== 0) process.exit(status ?? 1);
}
