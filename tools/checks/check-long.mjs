/**
 * The slow gate: `npm run check:long [-- PART … | --only PART …]`, before a release and by whoever
 * changes what a part covers.
 *
 * Runs each part, prints what it says, and keeps outcome and figures of its last run in
 * benchmarks/results/check-long.json. A part that this platform cannot run is named and left as it
 * was. Ends with 1 when a part failed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { ROOT } from '../packages.mjs';
import { LONG_PARTS } from './long-parts.mjs';

const FILE = join(ROOT, 'benchmarks/results/check-long.json');
/** Of the end of a part's output, where its figures are. */
const KEPT_CHARACTERS = 2 ** 16;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log('npm run check:long [-- PART … | --only PART …]\n');
  for (const { name, covers, command, env } of LONG_PARTS) {
    const words = [...Object.entries(env ?? {}).map((each) => each.join('=')), ...command];
    console.log(`  ${name.padEnd(14)} ${covers}\n${' '.repeat(17)}${words.join(' ')}`);
  }
  process.exit(0);
}
const asked = [...positionals, ...values.only];
const unknown = asked.find((name) => !LONG_PARTS.some((part) => part.name === name));
if (unknown !== undefined) {
  const names = LONG_PARTS.map(({ name }) => name).join(', ');
  console.error(`check:long: there is no part ${unknown}: ${names}`);
  process.exit(1);
}

let failed = 0;
for (const part of LONG_PARTS) {
  const { name, command, platform } = part;
  if (asked.length > 0 && !asked.includes(name)) continue;
  if (platform && platform !== process.platform) {
    console.log(`\n=== ${name}: not run, it needs ${platform} and this is ${process.platform}`);
    continue;
  }
  console.log(`\n=== ${name}: ${command.join(' ')}`);
  const began = Date.now();
  const { isPassed, figures } = await run(part);
  if (!isPassed) failed += 1;
  const results = JSON.parse(readFileSync(FILE, 'utf8'));
  results[name] = {
    outcome: isPassed ? 'passed' : 'failed',
    figures,
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

/** Prints a part's output as it comes. */
function run({ command, env, figures }) {
  const child = spawn(command[0], command.slice(1), {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
    shell: process.platform === 'win32',
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    process.stdout.write(text);
    output = (output + text).slice(-KEPT_CHARACTERS);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({
        isPassed: code === 0,
        figures: stripVTControlCharacters(output).match(figures) ?? [],
      }),
    );
  });
}
