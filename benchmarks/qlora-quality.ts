/**
 * Trains LoRA on a 16-bit base and on quantised ones, on the same data in the same order: `node
 * tools/run-source.mjs benchmarks/qlora-quality.ts [--seeds 3] [--epochs 4]`.
 *
 * The quickstart's small multilingual encoder tells the topics of English sentences. Printed are
 * the last training losses and the accuracies of each seed; QLoRA holds when its mean lies within
 * the spread over seeds of LoRA's.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createTrainEventBus, loadModel, type LoadWeightsOptions } from '@peft/core';
import { fitLabelEncoder, loadTokenizer, readTable, tokenizeTable } from '@peft/data';
import { openCheckpoint } from '@peft/hub';
import { lora } from '@peft/lora';
import { debertaV2 } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { adamw, constantSchedule } from '@peft/optim';
import { quantizedBase } from '@peft/qlora';
import { classification, createBatchOrder, predict, tableData, train } from '@peft/trainer';

const { values: options } = parseArgs({
  options: { seeds: { type: 'string', default: '3' }, epochs: { type: 'string', default: '4' } },
});
const here = (path: string): string =>
  fileURLToPath(new URL(`../examples/quickstart/${path}`, import.meta.url));
const columns = { columns: ['topic', 'text'] };
const tokenizer = loadTokenizer(here('model'));
const [training, test] = [
  await readTable(here('data/en_train.tsv'), columns),
  await readTable(here('data/en_test.tsv'), columns),
];
const labels = fitLabelEncoder(training.column('topic'));
const load = async (table: typeof training) =>
  tableData(
    await tokenizeTable(table, ['text'], tokenizer, { maxLength: 128 }),
    labels.encode(table.column('topic')),
  );
const [trainData, testData] = [await load(training), await load(test)];
const classes = labels.classes.length;
const engine = createNativeEngine();
await engine.activate();
const config = JSON.parse(readFileSync(here('model/config.json'), 'utf8')) as Record<
  string,
  unknown
>;

const BASES: Readonly<Record<string, LoadWeightsOptions>> = {
  'LoRA, bf16 base': {},
  'LoRA, NF4 with double quantisation': quantizedBase(),
  'LoRA, FP4': quantizedBase({ format: 'fp4', doubleQuantization: false }),
  'LoRA, int8': quantizedBase({ format: 'int8' }),
};

console.log(engine.description);
for (const [name, base] of Object.entries(BASES)) {
  const runs: { loss: number; accuracy: number; bytes: number }[] = [];
  for (let seed = 0; seed < Number(options.seeds); seed += 1) runs.push(await run(base, seed));
  const show = (key: 'loss' | 'accuracy') =>
    `${key} ${runs.map((each) => each[key].toFixed(3)).join(' ')} (mean ` +
    `${(runs.reduce((sum, each) => sum + each[key], 0) / runs.length).toFixed(3)})`;
  console.log(
    `${name.padEnd(36)} ${show('loss')}  ${show('accuracy')}  weights ${(runs[0]!.bytes / 1e6).toFixed(1)} MB`,
  );
}
engine.dispose();

async function run(
  base: LoadWeightsOptions,
  seed: number,
): Promise<{ loss: number; accuracy: number; bytes: number }> {
  const store = openCheckpoint(here('model'));
  const model = loadModel(debertaV2, config, store, engine, {
    head: { kind: 'pooled-linear', outputs: classes, pooling: 'mean' },
    seed,
    ...base,
  });
  store.close();
  model.addAdapter('default', lora({ rank: 8, alpha: 16, targets: 'all-linear' }), { seed });
  const losses: number[] = [];
  const bus = createTrainEventBus();
  bus.listen((event) => void (event.type === 'step/completed' && losses.push(event.loss)));
  const task = classification({ classes });
  const order = createBatchOrder({ lengths: trainData.lengths, batchSize: 32, seed });
  await train({
    model,
    task,
    data: trainData,
    order,
    bus,
    optimizer: adamw(),
    schedule: constantSchedule({ learningRate: 2e-3 }),
    options: { epochs: Number(options.epochs), seed },
  });
  const { predictions } = await predict(model, task, testData as never);
  const truth = labels.encode(test.column('topic'));
  const right = predictions.filter((p, i) => p.indexOf(Math.max(...p)) === truth[i]).length;
  const bytes = model.weights.byteLength;
  model.dispose();
  const last = losses.slice(-10);
  return {
    loss: last.reduce((sum, value) => sum + value, 0) / last.length,
    accuracy: right / predictions.length,
    bytes,
  };
}
