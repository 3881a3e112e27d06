/**
 * The quickstart's run with bf16 and with float32 products, seed by seed: `node
 * tools/run-source.mjs benchmarks/precision-quality.ts [--seeds 5]`.
 *
 * bf16 holds when its mean accuracy lies within the spread over seeds of float32's.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readTable } from '@peft/data';
import { PeftPredictor } from '@peft/predictor';

const { values: options } = parseArgs({ options: { seeds: { type: 'string', default: '5' } } });
const here = (path: string): string =>
  fileURLToPath(new URL(`../examples/quickstart/${path}`, import.meta.url));
const table = (name: string) => readTable(here(`data/${name}.tsv`), { columns: ['topic', 'text'] });
const [training, dev] = [await table('en_train'), await table('en_dev')];
const tests = await Promise.all(['en', 'de', 'ja'].map((language) => table(`${language}_test`)));

for (const precision of ['bf16', '32'] as const) {
  const runs: { readonly loss: number; readonly accuracies: readonly number[] }[] = [];
  for (let seed = 0; seed < Number(options.seeds); seed += 1) runs.push(await run(precision, seed));
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = (values: readonly number[]) =>
    Math.sqrt(
      mean(values.map((value) => (value - mean(values)) ** 2)) *
        (values.length / Math.max(values.length - 1, 1)),
    );
  const show = (values: readonly number[]) =>
    `${mean(values).toFixed(3)} ± ${spread(values).toFixed(3)}`;
  console.log(
    [
      precision === '32' ? 'float32' : precision,
      `last losses ${show(runs.map(({ loss }) => loss))}`,
      ...['en', 'de', 'ja'].map(
        (language, i) => `${language} ${show(runs.map(({ accuracies }) => accuracies[i]!))}`,
      ),
    ].join('   '),
  );
}

async function run(
  precision: 'bf16' | '32',
  seed: number,
): Promise<{ loss: number; accuracies: readonly number[] }> {
  const path = mkdtempSync(join(tmpdir(), 'precision-'));
  const losses: number[] = [];
  const predictor = new PeftPredictor({ label: 'topic', path: join(path, 'run') });
  predictor.listen((event) => void (event.type === 'step/completed' && losses.push(event.loss)));
  try {
    await predictor.fit(training, {
      tuningData: dev,
      seed,
      hyperparameters: {
        'model.hf_text.checkpoint_name': here('model'),
        'optim.peft': 'ia3_bias',
        'model.hf_text.max_text_len': 64,
        'optim.lr': 5e-3,
        'optim.max_epochs': 3,
        'optim.val_check_interval': 1,
        'env.batch_size': 16,
        'env.engine': 'native',
        'env.precision': precision,
      },
    });
    const accuracies: number[] = [];
    for (const test of tests) accuracies.push((await predictor.evaluate(test))['accuracy']!);
    const last = losses.slice(-20);
    return { loss: last.reduce((sum, value) => sum + value, 0) / last.length, accuracies };
  } finally {
    predictor.dispose();
    rmSync(path, { recursive: true, force: true });
  }
}
