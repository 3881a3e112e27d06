/**
 * How well a small encoder learns topics from English sentences, seed by seed, and what carries
 * over to other languages:
 *
 *     node tools/run-source.mjs benchmarks/encoder-quality.ts [--method lora --lr 5e-3 --split dev
 *       --languages en,de,ja --data FOLDER --model FOLDER]
 *
 * FOLDER of the data holds `<language>_<train|dev|test>.tsv` with topic and text.
 * `tools/python/score_encoder.py` does the same with PyTorch and PEFT.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readTable } from '@peft/data';
import { PeftPredictor } from '@peft/predictor';

const here = (path: string): string =>
  fileURLToPath(new URL(`../examples/quickstart/${path}`, import.meta.url));
const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: here('model') },
    data: { type: 'string', default: here('data') },
    method: { type: 'string', default: 'ia3_bias' },
    split: { type: 'string', default: 'test' },
    languages: { type: 'string', default: 'en,de,ja' },
    seeds: { type: 'string', default: '3' },
    lr: { type: 'string', default: '5e-3' },
    epochs: { type: 'string', default: '3' },
    batch: { type: 'string', default: '16' },
    length: { type: 'string', default: '64' },
    engine: { type: 'string', default: 'auto' },
  },
});
const table = (language: string, split: string) =>
  readTable(join(options.data, `${language}_${split}.tsv`), { columns: ['topic', 'text'] });
const languages = options.languages.split(',');
const [training, dev] = [await table('en', 'train'), await table('en', 'dev')];
const scored = await Promise.all(languages.map((language) => table(language, options.split)));

const runs: number[][] = [];
for (let seed = 0; seed < Number(options.seeds); seed += 1) {
  runs.push(await run(seed));
  show(`seed ${seed}`, runs[seed]!);
}
show(
  'mean',
  languages.map((_, i) => runs.reduce((sum, accuracies) => sum + accuracies[i]!, 0) / runs.length),
);

function show(title: string, accuracies: readonly number[]): void {
  console.log(
    [
      options.method,
      options.split,
      title,
      ...languages.map((language, i) => `${language} ${accuracies[i]!.toFixed(3)}`),
    ].join('   '),
  );
}

async function run(seed: number): Promise<number[]> {
  const path = mkdtempSync(join(tmpdir(), 'encoder-'));
  const predictor = new PeftPredictor({ label: 'topic', path: join(path, 'run') });
  try {
    await predictor.fit(training, {
      tuningData: dev,
      seed,
      hyperparameters: {
        'model.hf_text.checkpoint_name': options.model,
        'optim.peft': options.method as 'lora', // fit refuses a name that it does not know
        'optim.lora.r': 8,
        'model.hf_text.max_text_len': Number(options.length),
        'optim.lr': Number(options.lr),
        'optim.max_epochs': Number(options.epochs),
        'optim.val_check_interval': 1,
        'env.batch_size': Number(options.batch),
        'env.engine': options.engine as 'auto',
      },
    });
    const accuracies: number[] = [];
    for (const rows of scored) accuracies.push((await predictor.evaluate(rows))['accuracy']!);
    return accuracies;
  } finally {
    predictor.dispose();
    rmSync(path, { recursive: true, force: true });
  }
}
