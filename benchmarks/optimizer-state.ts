/**
 * Times AdamW updates with the state on the host, on the engine's device, and with all of its pages
 * passing through the device: `node tools/run-source.mjs benchmarks/optimizer-state.ts [--engine
 * tensorflow --only adapter --updates 50]`. Prints medians and the least.
 *
 * Gradients are arrays, as the trainer has them. A value of the last parameter is read after each
 * update, so the device has finished.
 */
import { parseArgs } from 'node:util';
import { createNativeEngine } from '@peft/native';
import {
  adamw,
  deviceStateStore,
  memoryStateStore,
  type StateStore,
  type TrainableParameter,
} from '@peft/optim';
import { createPortableEngine } from '@peft/portable';
import { createTensorflowEngine } from '@peft/tensorflow';
import * as tf from '@tensorflow/tfjs';

interface Shape {
  readonly shape: number[];
  readonly layer: number;
  readonly isDecayed?: boolean;
}

const LAYERS = Array.from({ length: 12 }, (_, layer) => layer);
const D = 768;
const F = 3072;
const vectors = (count: number, layer: number, length = D): Shape[] =>
  Array.from({ length: count }, () => ({ shape: [length], layer }));
const matrix = (rows: number, columns: number, layer: number): Shape => ({
  shape: [rows, columns],
  layer,
  isDecayed: true,
});

/** Name → trainables of the shapes that the models have. */
const CASES: Readonly<Record<string, readonly Shape[]>> = {
  'mDeBERTa-v3 base, ia3_bias': [
    ...LAYERS.flatMap((layer) => [
      ...vectors(7, layer),
      ...vectors(1, layer, F),
      ...vectors(2, layer).map((each) => ({ ...each, isDecayed: true })),
    ]),
    ...vectors(2, 12),
    matrix(2, D, 13),
    { shape: [2], layer: 13 },
  ],
  'BERT base, LoRA r = 8 on all linear layers': LAYERS.flatMap((layer) => [
    ...Array.from({ length: 4 }, () => [matrix(8, D, layer), matrix(D, 8, layer)]).flat(),
    matrix(8, D, layer),
    matrix(F, 8, layer),
    matrix(8, F, layer),
    matrix(D, 8, layer),
  ]),
  'BERT base, everything': [
    ...LAYERS.flatMap((layer) => [
      ...Array.from({ length: 4 }, () => matrix(D, D, layer)),
      matrix(F, D, layer),
      matrix(D, F, layer),
      ...vectors(9, layer),
      ...vectors(1, layer, F),
    ]),
    matrix(30522, D, 12),
    matrix(512, D, 12),
    matrix(2, D, 12),
    ...vectors(2, 12),
    matrix(D, D, 13),
    ...vectors(1, 13),
    matrix(2, D, 13),
  ],
};

const { values: options } = parseArgs({
  options: {
    engine: { type: 'string', default: 'tensorflow' },
    only: { type: 'string', default: '' },
    updates: { type: 'string', default: '20' },
  },
});
const ENGINES = {
  native: () => createNativeEngine(),
  portable: () => createPortableEngine(),
  tensorflow: () => createTensorflowEngine({ precision: 'float32' }),
};
const engine = await ENGINES[options.engine as keyof typeof ENGINES]();
await engine.activate();
console.log(
  `AdamW updates on ${engine.name}, milliseconds: median (least)\n\n| trained | tensors | ` +
    `values | host | device | passing |\n|---|---|---|---|---|---|`,
);
for (const [name, shapes] of Object.entries(CASES)) {
  if (!name.toLowerCase().includes(options.only.toLowerCase())) continue;
  const parameters = shapes.map(({ shape, layer, isDecayed = false }, i) => ({
    name: `p${i}`,
    variable: tf.tidy(() => tf.variable(tf.fill(shape, 0.1))),
    group: { learningRateScale: 0.9 ** layer, weightDecay: isDecayed ? 1e-3 : 0 },
  }));
  const times: string[] = [];
  for (const store of [
    memoryStateStore(),
    deviceStateStore(),
    deviceStateStore({ residentBytes: 0 }),
  ])
    times.push(await time(parameters, store));
  console.log(
    `| ${name} | ${parameters.length} | ` +
      `${parameters.reduce((sum, { variable }) => sum + variable.size, 0).toLocaleString('en')} ` +
      `| ${times.join(' | ')} |`,
  );
  tf.dispose(parameters.map(({ variable }) => variable));
}

/** The first two updates warm up. */
async function time(parameters: readonly TrainableParameter[], store: StateStore): Promise<string> {
  const optimizer = adamw();
  const state = optimizer.init(parameters, { store });
  const gradients = Object.fromEntries(
    parameters.map(({ name, variable }) => [
      name,
      Float32Array.from({ length: variable.size }, (_, i) => 1e-3 * Math.sin(i)),
    ]),
  );
  const milliseconds: number[] = [];
  for (let update = -2; update < Number(options.updates); update += 1) {
    await store.prefetch();
    const start = performance.now();
    await optimizer.update(parameters, gradients, state, {
      learningRate: 1e-3,
      gradientScale: 0.9,
    });
    tf.tidy(() => tf.slice(parameters.at(-1)!.variable.flatten(), [0], [1]).dataSync());
    if (update >= 0) milliseconds.push(performance.now() - start);
  }
  state.dispose();
  milliseconds.sort((a, b) => a - b);
  return `${milliseconds[milliseconds.length >> 1]!.toFixed(1)} (${milliseconds[0]!.toFixed(1)})`;
}
