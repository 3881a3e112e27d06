/**
 * Times training steps of a random-weight model: `npm run bench:step -- --arch FILE_OR_NAME
 * --method ia3_bias --batch 8 --length 128 --steps 4 --engine NAME --json`. A NAME is a file of
 * `configs` or a folder of the fixtures' configs.
 *
 * The work of `peers/torch_step.py` with the same arguments: a backbone with one linear head on the
 * first token, AdamW, clipping.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import {
  architectureFor,
  describeModel,
  loadModel,
  randomWeights,
  type HeadOptions,
} from '@peft/core';
import { lora } from '@peft/lora';
import { planMemory } from '@peft/memory-plan';
import { architectures } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { crossEntropy, linearCrossEntropy, variableGradients, type Engine } from '@peft/ops';
import { adamw, clipByGlobalNorm, createOptimizer, type OptimizerName } from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { methodNamed } from '@peft/methods';
import { createTensorflowEngine } from '@peft/tensorflow';
import { createWebgpuEngine } from '@peft/webgpu';
import { useSoftwareDriver } from '../tools/test-setup/software-vulkan.js';
import { watchKernels } from './kernel-times.js';
import { configPath, precisionOf } from './peers/shapes.js';

const ENGINES: Record<string, (precision: 'float32' | 'bfloat16') => Promise<Engine> | Engine> = {
  native: (precision) => createNativeEngine({ precision }),
  portable: () => createPortableEngine(),
  tensorflow: (precision) => createTensorflowEngine({ precision }),
  webgpu: () => {
    useSoftwareDriver(); // where there is no other
    return createWebgpuEngine();
  },
};

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string' },
    method: { type: 'string', default: 'ia3_bias' },
    batch: { type: 'string', default: '8' },
    length: { type: 'string', default: '128' },
    lengths: { type: 'string' },
    steps: { type: 'string', default: '4' },
    engine: { type: 'string', default: 'native' },
    precision: { type: 'string', default: 'bfloat16' },
    quantization: { type: 'string' },
    'double-quantization': { type: 'boolean', default: false },
    checkpointing: { type: 'boolean', default: false },
    'stored-dtype': { type: 'string', default: 'BF16' },
    head: { type: 'string', default: 'pooled-linear' },
    rank: { type: 'string' },
    targets: { type: 'string' },
    optimizer: { type: 'string', default: 'adamw' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
  },
});
if (options.help || !options.arch) {
  console.log(
    'bench:step --arch CONFIG_JSON_OR_FOLDER [--method ia3_bias] [--batch 8] [--length 128] ' +
      '[--steps 4] [--engine native|portable|tensorflow|webgpu] [--precision bf16|fp32] ' +
      '[--quantization nf4|fp4|int8] [--double-quantization] [--checkpointing] [--head ' +
      'pooled-linear|causal-lm] [--rank 16 --targets all-linear] [--optimizer ' +
      'adamw|adamw_8bit|…] [--stored-dtype BF16|F32] [--profile] [--json]',
  );
  process.exit(options.help ? 0 : 2);
}

const precision = precisionOf(options.precision);
const config = JSON.parse(readFileSync(configPath(options.arch), 'utf8')) as Record<
  string,
  unknown
>;
const makeEngine = ENGINES[options.engine];
if (!makeEngine)
  throw new Error(
    `bench:step: --engine must be one of ${Object.keys(ENGINES).join(', ')}, got ${options.engine}`,
  );
const engine = await makeEngine(precision);
await engine.activate();
const architecture = architectureFor(config['model_type'], architectures);
const head: HeadOptions =
  options.head === 'causal-lm' ? { kind: 'causal-lm' } : { kind: 'pooled-linear', outputs: 2 };
const method =
  options.rank || options.targets
    ? lora({
        ...(options.rank && { rank: Number(options.rank), alpha: Number(options.rank) }),
        ...(options.targets && {
          targets: options.targets === 'all-linear' ? 'all-linear' : options.targets.split(','),
        }),
      })
    : methodNamed(options.method, {}, { layers: 'autogluon' });
const description = describeModel(architecture, architecture.parseConfig(config), head);
const quantization = options.quantization
  ? { format: options.quantization as 'nf4', doubleQuantization: options['double-quantization'] }
  : undefined;
const model = loadModel(
  architecture,
  config,
  randomWeights(description, { dtype: options['stored-dtype'] as 'BF16' }),
  engine,
  { head, ...(quantization && { quantization }) },
);
model.addAdapter('default', method);
const counts = model.parameterCounts();

const [batchSize, length] = [Number(options.batch), Number(options.length)];
const offsets = Int32Array.from({ length: batchSize + 1 }, (_, b) => b * length);
const inputIds = Int32Array.from(
  { length: batchSize * length },
  (_, n) => 5 + ((n * 7919) % (description.vocabularySize - 5)),
);
const labels =
  head.kind === 'causal-lm'
    ? inputIds.map((_, n) => inputIds[n + 1] ?? -100)
    : Int32Array.from({ length: batchSize }, (_, b) => b % 2);
const parameters = model.trainables().map(({ name, value }) => ({
  name,
  variable: value,
  group: { learningRateScale: 1, weightDecay: 1e-3 },
}));
const optimizer =
  options.optimizer === 'adamw'
    ? adamw({ epsilon: 1e-6 })
    : createOptimizer(options.optimizer as OptimizerName);
const state = optimizer.init(parameters);
const seconds: number[] = [];
const processorSeconds: number[] = [];
let loss = Number.NaN;
const loadingPeakRssBytes = process.resourceUsage().maxRSS * 1024;
collectGarbage(); // the random weights were made in JavaScript; a checkpoint's are not
let peakRssBytes = 0;
/** That the last block makes; the head of an encoder reads fewer than it has tokens. */
let lastRows = batchSize * length;
const sampler = setInterval(
  () => (peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss())),
  20,
);

for (let step = 0; step <= Number(options.steps); step += 1) {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const variables = parameters.map(({ variable }) => variable);
  const { value, gradients: grads } = tf.tidy(() =>
    variableGradients(() => tf.tidy(meanLoss), variables),
  );
  loss = (await value.data())[0]!;
  const gradients = Object.fromEntries(
    parameters.flatMap(({ name, variable }) =>
      grads[variable.name] ? [[name, grads[variable.name]!]] : [],
    ),
  ); // a pooler that the head does not read has none
  const { gradientScale } = await clipByGlobalNorm(gradients, 1);
  await optimizer.update(parameters, gradients, state, { learningRate: 3e-3, gradientScale });
  tf.dispose([value, grads]);
  seconds.push((performance.now() - start) / 1e3);
  const { user, system } = process.cpuUsage(before);
  processorSeconds.push((user + system) / 1e6);
  peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss());
  await new Promise((resolve) => setImmediate(resolve));
}
clearInterval(sampler);
if (options.profile) await profile();
const secondsPerStep = medianStep(seconds);
const plannedPeakBytes = planMemory({
  architecture: architecture,
  config,
  head,
  method,
  batch: { sequences: batchSize, length },
  checkpointing: options.checkpointing,
  optimizer,
  storedDtype: options['stored-dtype'] as 'BF16',
  engine: engine.sizing!,
  hasFiles: false,
  ...(quantization && { quantization }),
}).peakBytes;
const report = {
  engine: engine.description,
  precision: engine.precision,
  tokensPerSecond: (batchSize * length) / secondsPerStep,
  secondsPerStep,
  processorSecondsPerStep: medianStep(processorSeconds),
  leastProcessorSecondsPerStep: Math.min(...processorSeconds.slice(1)),
  peakRssBytes: Math.max(peakRssBytes, loadingPeakRssBytes),
  plannedPeakBytes,
  trainingPeakRssBytes: peakRssBytes,
  loadingPeakRssBytes,
  weightBytes: model.weights.byteLength,
  frozenOperations: frozenOperations(),
  loss,
  trainableParameters: counts.trainable,
  totalParameters: counts.total,
};
console.log(
  options.json
    ? JSON.stringify(report)
    : Object.entries(report)
        .map(([name, value]) => `${name.padEnd(20)} ${value}`)
        .join('\n'),
);
state.dispose();
model.dispose();
engine.dispose();

/** Without the first, which warms up. */
function medianStep(all: readonly number[]): number {
  const timed = all.slice(1).sort((a, b) => a - b);
  return timed[Math.floor(timed.length / 2)]!;
}

/** Of the head, or over the vocabulary, whose logits are made chunk by chunk. */
function meanLoss(): Scalar {
  const { checkpointing } = options;
  if (head.kind !== 'causal-lm') {
    const output = model.forward({ inputIds, offsets }, { checkpointing, headRowsOnly: true });
    lastRows = output.hidden.shape[0];
    return crossEntropy(output.logits!, labels).mean().asScalar();
  }
  const { hidden, outputLayer } = model.forward(
    { inputIds, offsets },
    { checkpointing, logitRows: 'none' },
  );
  return linearCrossEntropy(hidden, outputLayer!.weight, labels, {
    scale: outputLayer!.scale,
    softCap: outputLayer!.softCap,
  })
    .mean()
    .asScalar();
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/**
 * Operations of a step's products with frozen matrices: forward, input gradient and, with
 * checkpointing, the forward pass again, two operations for each weight and row that it is made for.
 */
function frozenOperations(): number {
  const lastBlock = Math.max(...description.sites.map(({ layer }) => layer ?? 0));
  const rowsOf = new Map(
    description.sites.flatMap((site) =>
      site.kind === 'linear'
        ? [
            [
              site.weight,
              site.layer === lastBlock && !/key|value/.test(site.role)
                ? lastRows
                : batchSize * length,
            ],
          ]
        : [],
    ),
  );
  const products = description.parameters
    .filter(({ name, shape }) => rowsOf.has(name) && shape.length === 2)
    .reduce((sum, { name, shape }) => sum + shape[0]! * shape[1]! * rowsOf.get(name)!, 0);
  return 2 * (options.checkpointing ? 3 : 2) * products;
}

/** Milliseconds per kernel of one more step, and those outside of kernels. */
async function profile(): Promise<void> {
  const times = watchKernels(engine);
  const start = performance.now();
  const { value, gradients: grads } = variableGradients(
    () => tf.tidy(meanLoss),
    parameters.map(({ variable }) => variable),
  );
  await value.data();
  const total = performance.now() - start;
  tf.dispose([value, grads]);
  console.error(times.report('forward and backward', total));
}
