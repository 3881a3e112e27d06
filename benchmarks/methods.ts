/**
 * Every method on one task with the same budget, as a table: the quickstart's encoder, English rows
 * and epochs, each method at the best of a few learning rates by the dev rows, three seeds.
 *
 *     npm run bench:methods [-- --only lora,ia3 --minutes 10]   trains what the results lack yet
 *     npm run bench:methods -- --again lora                     forgets these rows and trains them anew
 *     npm run bench:methods -- --minutes 0                      only prints the table
 *
 * Results are kept in results/methods.json after each run, so that it may be stopped and started at
 * any time; docs/methods.md is made from that file. A method trains in a
 * process of its own, whose peak memory is that of its first run, loading included.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { check } from '@peft/errors';
import { COMPARED } from './methods/compared.js';
import { comparisonTable } from './methods/results-page.js';
import { BUDGET, RESULTS, type MethodResult, type Results } from './methods/results.js';
import { rowsOf } from './methods/runs.js';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    again: { type: 'string' },
    minutes: { type: 'string', default: '600' },
  },
});
const names = COMPARED.map(({ name }) => name);
const asked = named('only', options.only) ?? names;
const results = readResults();
for (const name of named('again', options.again) ?? []) delete results.methods[name];

const end = Date.now() + Number(options.minutes) * 60_000;
for (const compared of COMPARED.filter(({ name }) => asked.includes(name))) {
  if (Date.now() > end) break;
  await rowsOf(compared, results.methods[compared.name], (result) => keep(compared.name, result));
}
console.log(['', ...comparisonTable(results)].join('\n'));
console.log('docs/methods.md shows this: node tools/run-source.mjs tools/checks/methods-page.ts');

function keep(name: string, result: MethodResult): void {
  results.methods[name] = result;
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  const last = result.runs.at(-1);
  console.log(
    name.padEnd(20),
    result.refused ??
      `learning rate ${last!.learningRate} seed ${last!.seed}: dev ${last!.dev.toFixed(3)}, ` +
        `test ${last!.test.toFixed(3)}, ${last!.seconds.toFixed(1)} s`,
  );
}

/** @throws for results of another budget */
function readResults(): Results {
  const fresh: Results = { budget: BUDGET, machine: machine(), methods: {} };
  let text: string;
  try {
    text = readFileSync(RESULTS, 'utf8');
  } catch {
    return fresh;
  }
  const known = JSON.parse(text) as Results;
  if (JSON.stringify(known.budget) !== JSON.stringify(BUDGET))
    throw new Error(`${RESULTS} is of another budget: delete it to measure anew`);
  return known;
}

function machine(): string {
  const [processor] = cpus();
  return `${cpus().length} × ${processor?.model ?? 'unknown processor'}, Node ${process.version}`;
}

function named(option: string, list: string | undefined): string[] | undefined {
  return list?.split(',').map((name) => {
    check.oneOf('bench:methods', `--${option}`, name, names);
    return name;
  });
}
