/**
 * The child of `bench:methods`: `node tools/run-source.mjs benchmarks/methods/train-row.ts ROW
 * RUNS`. Trains what RUNS, a JSON list, lacks, and prints a line of JSON for each run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readTable } from '@peft/data';
import { PeftError } from '@peft/errors';
import { PeftPredictor } from '@peft/predictor';
import { COMPARED, specOfRow } from './compared.js';
import { BUDGET, type MethodRun } from './results.js';
import { lacking, type ChildLine } from './runs.js';

const here = (path: string): string =>
  fileURLToPath(new URL(`../../examples/quickstart/${path}`, import.meta.url));
const table = (split: string) =>
  readTable(here(`data/en_${split}.tsv`), { columns: ['topic', 'text'] });
const [training, dev, test] = [await table('train'), await table('dev'), await table('test')];

const [, , name, given] = process.argv;
const row = COMPARED.find((each) => each.name === name)!;
const runs = JSON.parse(given!) as MethodRun[];
let isFirst = true;
const say = (line: ChildLine): void => console.log(JSON.stringify(line));
try {
  for (let next = lacking(runs)[0]; next; next = lacking(runs)[0]) {
    const { run, trainableParameters } = await trained(next);
    runs.push(run);
    say({ run, trainableParameters });
    isFirst = false;
  }
} catch (error) {
  if (!(error instanceof PeftError)) throw error;
  say({ refused: `${error.code}: ${error.message}` });
}

async function trained({ learningRate, seed }: Pick<MethodRun, 'learningRate' | 'seed'>) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-methods-'));
  const predictor = new PeftPredictor({ label: 'topic', path: join(folder, 'run') });
  const before = process.cpuUsage();
  try {
    await predictor.fit(training, {
      tuningData: dev,
      seed,
      sample: BUDGET.rows,
      method: specOfRow(row),
      standalone: false,
      hyperparameters: {
        'model.hf_text.checkpoint_name': here('model'),
        'model.hf_text.max_text_len': BUDGET.length,
        'optim.lr': learningRate,
        'optim.max_epochs': BUDGET.epochs,
        'optim.val_check_interval': 1,
        'env.batch_size': BUDGET.batch,
        'env.num_threads': BUDGET.threads,
      },
    });
    const { user, system } = process.cpuUsage(before);
    const { trainingSeconds, trainableParameters, validationScore } = predictor.fitSummary();
    const { accuracy } = await predictor.evaluate(test);
    const run: MethodRun = {
      learningRate,
      seed,
      dev: validationScore,
      test: accuracy!,
      seconds: trainingSeconds,
      processorSeconds: (user + system) / 1e6,
      ...(isFirst ? { peakMemoryBytes: process.resourceUsage().maxRSS * 1024 } : {}),
    };
    return { run, trainableParameters };
  } finally {
    predictor.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}
