/**
 * A tiny T5 of random weights learns to describe restaurants from lists of facts, and is scored by
 * ROUGE and BLEU on lists that it has not seen, before and after. Nothing is downloaded.
 *
 *     node tools/run-source.mjs examples/seq2seq/seq2seq.ts
 *     node tools/run-source.mjs examples/seq2seq/seq2seq.ts --engine portable
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createTrainEventBus, describeModel, loadModel, randomWeights } from '@peft/core';
import { loadTokenizer, pairData, readTable, type TextPairRow } from '@peft/data';
import { createTextEvaluator, generateTexts, generationDefaults } from '@peft/generation';
import { t5 } from '@peft/models';
import { adamw, cosineSchedule } from '@peft/optim';
import { fullFineTuning } from '@peft/methods';
import { chooseEngine, type EngineName } from '@peft/predictor';
import { createBatchOrder, plannedSteps, seq2seqLanguageModel, train } from '@peft/trainer';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const { values: flags } = parseArgs({
  options: { engine: { type: 'string', default: process.env['PEFT_ENGINE'] ?? 'auto' } },
});

// 1. A model: a config, and random numbers in place of a checkpoint's weights. All of it trains,
//    since there is nothing to build on.
const { engine } = await chooseEngine({ name: flags.engine as EngineName });
const config = JSON.parse(readFileSync(here('model/config.json'), 'utf8')) as Record<
  string,
  unknown
>;
const head = { kind: 'seq2seq-lm' } as const;
const weights = randomWeights(describeModel(t5, t5.parseConfig(config), head), {
  standardDeviation: 0.1,
});
const model = loadModel(t5, config, weights, engine, { head });
model.addAdapter('default', fullFineTuning());

// 2. Data: the encoder reads the facts, the decoder learns the description. It will write by a beam
//    search of width 4.
const tokenizer = loadTokenizer(here('model'));
const writing = {
  ...generationDefaults({ config, tokenizer }),
  maxNewTokens: 60,
  batchSize: 30,
  beams: 4,
};
const pairs = async (name: string): Promise<Required<TextPairRow>[]> => {
  const table = await readTable(here(`data/${name}.jsonl`));
  const [sources, targets] = ['source', 'target'].map((column) => table.column(column).map(String));
  return sources!.map((source, row) => ({ source, target: targets![row]! }));
};
const [training, test] = [await pairs('train'), await pairs('test')];
const data = await pairData(training, tokenizer, {
  maxSourceLength: 128,
  maxTargetLength: 128,
  startId: writing.startIds[0]!,
});
const score = createTextEvaluator({
  model,
  tokenizer,
  prompts: test.map(({ source }) => source),
  references: test.map(({ target }) => target),
  metrics: ['rouge1', 'rouge2', 'rougeL', 'bleu'],
  ...writing,
});
const printed = (name: string, scores: Readonly<Record<string, number>>): void =>
  console.log(
    `${name.padEnd(7)} ${Object.entries(scores)
      .map(([metric, value]) => `${metric} ${value.toFixed(3)}`)
      .join('  ')}`,
  );

// 3. Scores before, training, scores after.
printed('before', (await score()).metrics);
const order = createBatchOrder({ lengths: data.lengths, batchSize: 8, seed: 1 });
const options = { epochs: 24 };
const bus = createTrainEventBus();
bus.listen((event) => {
  if (event.type === 'run/started')
    console.log(
      `${event.trainableParameters.toLocaleString('en')} parameters, ${training.length} pairs, ` +
        `engine ${event.engine}, ${event.plannedSteps} steps`,
    );
  if (event.type === 'step/completed' && (event.step % 40 === 0 || event.step === 1))
    console.log(`step ${event.step}  loss ${event.loss.toFixed(3)}`);
});
await train({
  model,
  task: seq2seqLanguageModel(),
  data,
  order,
  bus,
  options,
  optimizer: adamw(),
  schedule: cosineSchedule({
    learningRate: 5e-3,
    warmupSteps: 20,
    totalSteps: plannedSteps(order, options),
  }),
});
printed('after', (await score()).metrics);

// 4. A description of facts that were not among the training's.
const { source, target } = test[0]!;
const [written] = await generateTexts(model, tokenizer, [source], writing);
console.log(`\nfacts    ${source}\nwanted   ${target}\nwritten  ${written!.text}`);
model.dispose();
