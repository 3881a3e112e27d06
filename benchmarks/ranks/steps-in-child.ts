/** Steps of a random-weight model, of one process or as a rank: see `ranks.ts`. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  architectureFor,
  createTrainEventBus,
  describeModel,
  loadModel,
  randomWeights,
  SINGLE_RANK,
} from '@peft/core';
import { lora } from '@peft/lora';
import { architectures } from '@peft/models';
import { connectMpi, launchOf } from '@peft/mpi';
import { createNativeEngine } from '@peft/native';
import { adamw, constantSchedule } from '@peft/optim';
import { causalLanguageModel, createBatchOrder, train, type CausalBatch } from '@peft/trainer';
import { configPath } from '../peers/shapes.js';
import { median } from './median.js';
import type { MeasuredSteps } from './measured-steps.js';

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: 'llama-small' },
    length: { type: 'string', default: '256' },
    steps: { type: 'string', default: '5' },
    'micro-batches': { type: 'string', default: '8' },
    threads: { type: 'string', default: '1' },
    'shard-base': { type: 'boolean', default: false },
  },
});
const [length, rows, steps] = [
  Number(options.length),
  Number(options['micro-batches']),
  Number(options.steps) + 1,
];
const mpi = launchOf(process.env) ? await connectMpi() : undefined;
const collective = mpi ?? SINGLE_RANK;
const engine = createNativeEngine({ threads: Number(options.threads) });
await engine.activate();
const config = JSON.parse(readFileSync(configPath(options.arch), 'utf8')) as Record<
  string,
  unknown
>;
const architecture = architectureFor(config['model_type'], architectures);
const head = { kind: 'causal-lm' } as const;
const description = describeModel(architecture, architecture.parseConfig(config), head);
const model = loadModel(
  architecture,
  config,
  randomWeights(description, { dtype: 'BF16' }),
  engine,
  {
    head,
    quantization: { format: 'nf4', doubleQuantization: true },
    shardRanks: options['shard-base'] ? collective : undefined,
  },
);
model.addAdapter('default', lora({ rank: 16, targets: 'all-linear' }));

const pack = (picked: ArrayLike<number>): CausalBatch => {
  const offsets = Int32Array.from({ length: picked.length + 1 }, (_, b) => b * length);
  const inputIds = Int32Array.from(
    { length: picked.length * length },
    (_, n) => 5 + ((n * 7919) % (description.vocabularySize - 5)),
  );
  const tokenLabels = inputIds.map((_, n) => inputIds[n + 1] ?? -100);
  const batchRows = Int32Array.from(picked);
  return {
    inputIds,
    offsets,
    tokenLabels,
    rows: batchRows,
    exampleOffsets: offsets.map((_, b) => b),
  };
};
const lengths = new Array<number>(rows * steps).fill(length);
const bus = createTrainEventBus();
const ends: number[] = [];
/** All ranks pack every micro-batch; events are told to the first alone. */
let [packed, warmSeconds] = [0, 0];
function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
let loss = Number.NaN;
bus.listen((event) => {
  if (event.type !== 'step/completed') return;
  ends.push(performance.now());
  loss = event.loss;
});
await train({
  model,
  task: causalLanguageModel(),
  data: {
    lengths,
    pack: (picked) => {
      if (packed++ === rows) warmSeconds = processorSeconds();
      return pack(picked);
    },
  },
  order: createBatchOrder({ lengths, batchSize: rows, microBatchSize: 1, seed: 0 }),
  optimizer: adamw(),
  schedule: constantSchedule({ learningRate: 1e-4 }),
  options: { epochs: 1, seed: 0 },
  collective,
  bus,
});
const seconds = ends.slice(1).map((end, i) => (end - ends[i]!) / 1e3);
const spent = Float64Array.of(processorSeconds() - warmSeconds);
await collective.allReduce(spent, 'sum');
const report: MeasuredSteps = {
  seconds,
  tokensPerSecond: (rows * length) / median(seconds),
  tokensPerProcessorSecond: (rows * length * seconds.length) / spent[0]!,
  loss,
};
if (collective.rank === 0) console.log(JSON.stringify(report));
model.dispose();
engine.dispose();
await mpi?.close();
