/**
 * Fine-tunes a small multilingual encoder with IA3 and its biases on English sentences, then tells
 * the topics of English, German and Japanese ones. Nothing is downloaded: model and texts lie
 * beside this file.
 *
 *     npm run quickstart                                  saves into a temporary folder
 *     npm run quickstart -- my-folder --engine portable   saves into my-folder
 *     npm run quickstart -- --rows 64                     for a quick look, on the first rows of each file
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { TrainEvent } from '@peft/core';
import { readTable, type Table } from '@peft/data';
import { PeftPredictor } from '@peft/predictor';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', default: process.env['PEFT_ENGINE'] ?? 'auto' },
    rows: { type: 'string', default: '1000' },
  },
});
const path = positionals[0] ?? mkdtempSync(join(tmpdir(), 'quickstart-'));
const table = async (name: string): Promise<Table> =>
  // the files have no header
  readTable(here(`data/${name}.tsv`), { columns: ['topic', 'text'], limit: Number(values.rows) });

const predictor = new PeftPredictor({ label: 'topic', path });
predictor.listen(printProgress);

await predictor.fit(await table('en_train'), {
  tuningData: await table('en_dev'),
  hyperparameters: {
    'model.hf_text.checkpoint_name': here('model'),
    'optim.peft': 'ia3_bias',
    'model.hf_text.max_text_len': 64,
    'optim.lr': 5e-3, // chosen by the dev files, as the others
    'optim.max_epochs': 3,
    'optim.val_check_interval': 1,
    'env.batch_size': 16,
    'env.engine': values.engine,
  },
});

console.log('\nlanguage   accuracy   chance   times chance');
for (const [code, language] of [
  ['en', 'English'],
  ['de', 'German'],
  ['ja', 'Japanese'],
] as const) {
  const test = await table(`${code}_test`);
  const { accuracy } = await predictor.evaluate(test);
  const topics = test.column('topic');
  const chance =
    Math.max(...new Set(topics.map((topic) => topics.filter((other) => other === topic).length))) /
    topics.length; // always saying the most frequent topic
  console.log(
    `${language.padEnd(10)} ${accuracy!.toFixed(3).padStart(8)} ` +
      `${chance.toFixed(3).padStart(8)} ${(accuracy! / chance).toFixed(1).padStart(14)}`,
  );
}
console.log(`\nmodel and adapter: ${path}`);
predictor.dispose();

function printProgress(event: TrainEvent): void {
  if (event.type === 'run/started')
    console.log(
      `${event.method}: ${event.trainableParameters.toLocaleString('en')} of ` +
        `${event.totalParameters.toLocaleString('en')} parameters train, engine ${event.engine}, ` +
        `${event.plannedSteps} steps`,
    );
  if (event.type === 'step/completed' && event.step % 10 === 0)
    console.log(
      `step ${event.step}  loss ${event.loss.toFixed(3)}  ` +
        `${Math.round((1000 * event.tokens) / event.durationMs)} tokens/s`,
    );
  if (event.type === 'evaluation/completed')
    console.log(
      `step ${event.step}  validation ${Object.entries(event.metrics)
        .map(([name, value]) => `${name} ${value.toFixed(3)}`)
        .join('  ')}${event.isBest ? '  (best so far)' : ''}`,
    );
  if (event.type === 'run/warned') console.log(`warning: ${event.message}`);
}
