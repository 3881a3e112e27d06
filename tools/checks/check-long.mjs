/**
 * The slow gate: `npm run check:long [-- PART …]`, before a release and by whoever changes what a
 * part covers.
 *
 * Runs each part, prints what it says, and keeps the outcome of its last run in
 * benchmarks/results/check-long.json. Ends with 1 when a part failed.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../packages.mjs';
import { LONG_PARTS } from './long-parts.mjs';

const FILE = join(ROOT, 'benchmarks/results/check-long.json');
const asked = process.argv.slice(2);
if (asked.includes('--help')) {
  console.log('npm run check:long [-- PART …]\n');
  for (const { name, covers, command } of LONG_PARTS)
    console.log(`  ${name.padEnd(12)} ${covers}\n${' '.repeat(15)}${command.join(' ')}`);
  process.exit(0);
}
const unknown = asked.find((name) => !LONG_PARTS.some((part) => part.name === name));
if (unknown !== undefined) {
  const names = LONG_PARTS.map(({ name }) => name).join(', ');
  console.error(`check:long: there is no part ${unknown}: ${names}`);
  process.exit(1);
}

const results = JSON.parse(readFileSync(FILE, 'utf8'));
let failed = 0;
for (const { name, command, env } of LONG_PARTS) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`\n=== ${name}: ${command.join(' ')}`);
  const began = Date.now();
  const { status } = spawnSync(command[0], command.slice(1), {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    shell: process.platform === 'win32',
  });
  if (status !== 0) failed += 1;
  results[name] = {
    outcome: status === 0 ? 'passed' : 'failed',
    minutes: Number(((Date.now() - began) / 60_000).toFixed(1)),
    date: new Date(began).toISOString().slice(0, 10),
    commit: spawnSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
    }).stdout?.trim(),
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}`,
  };
  writeFileSync(FILE, `${JSON.stringify(results, undefined, 2)}\n`);
}
console.log(failed ? `${failed} parts failed` : 'all parts passed');
process.exit(failed ? 1 : 0);
