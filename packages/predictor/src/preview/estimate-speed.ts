/**
 * How fast a model would train that nobody has trained here yet. An estimate: the operations that its
 * matrices need for a token, by the speed of one product with such a matrix, and its other kernels
 * by the time of a small one; both are measured. What is long in itself beside the matrices, attention
 * over many tokens say, and the optimiser come on top.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ModelDescription } from '@peft/core';
import { memorySource, readValues, type ConvertibleFormat, type Engine } from '@peft/ops';

/** The most that a step could do. */
export interface SpeedEstimate {
  /** Arithmetic of a step's matrices, forward and backward. */
  readonly operationsPerToken: number;
  /** Of one product. */
  readonly operationsPerSecond: number;
  /** What a micro-batch takes beside its matrices: each kernel has a cost, whatever its size. */
  readonly secondsPerMicroBatch: number;
  readonly rowsPerMicroBatch: number;
}

/** Bounds of the product that is timed: milliseconds on any machine. */
const LARGEST_SIDE = 2048;
const LARGEST_ROWS = 512;
const TIMED_PRODUCTS = 3;
/** Small kernels in a row that are timed, and what they work on: a row of a small model. */
const TIMED_KERNELS = 64;
const SMALL_WIDTH = 128;

/** Of what was measured before in this process: the form asks with each letter that is typed. */
const measured = new Map<string, number>();

/**
 * @param how.format in which the engine holds the base's matrices
 * @param how.rows tokens of a micro-batch
 * @param how.isWhole all weights train, not an adapter on them alone
 * @param engine active
 */
export async function estimateSpeed(
  description: ModelDescription,
  engine: Engine,
  how: {
    readonly format: ConvertibleFormat;
    readonly rows: number;
    readonly isCheckpointed: boolean;
    readonly isWhole: boolean;
    readonly rowsPerMicroBatch: number;
    /** Tensors that a micro-batch makes, as the plan of its memory counts them. */
    readonly kernels: number;
  },
): Promise<SpeedEstimate> {
  const matrices = matricesOf(description);
  const elements = matrices.reduce((sum, [out, inputs]) => sum + out * inputs, 0);
  // forward, the gradient of the inputs, and what else is asked for
  const passes = 2 + (how.isCheckpointed ? 1 : 0) + (how.isWhole ? 1 : 0);
  const [out, inputs] = [...matrices].sort((a, b) => a[0] * a[1] - b[0] * b[1])[
    matrices.length >> 1
  ] ?? [1, 1];
  const sides = [Math.min(out, LARGEST_SIDE), Math.min(inputs, LARGEST_SIDE)] as const;
  const rows = Math.max(1, Math.min(Math.round(how.rows), LARGEST_ROWS));
  const known = (what: readonly unknown[], measure: () => Promise<number>) =>
    remembered([engine.description, ...what].join(' '), measure);
  return {
    operationsPerToken: 2 * passes * elements,
    operationsPerSecond: await known([how.format, rows, ...sides], () =>
      productSpeed(engine, sides, rows, how.format),
    ),
    secondsPerMicroBatch: how.kernels * (await known(['kernel', rows], () => kernelTime(rows))),
    rowsPerMicroBatch: how.rowsPerMicroBatch,
  };
}

async function remembered(key: string, measure: () => Promise<number>): Promise<number> {
  const value = measured.get(key) ?? (await measure());
  measured.set(key, value);
  return value;
}

/** Seconds of one small kernel among others, on the tape as in training; the fastest of some. */
async function kernelTime(rows: number): Promise<number> {
  const x = tf.ones([rows, SMALL_WIDTH]);
  const chain = tf.grad((start: tf.Tensor) => {
    let value = start;
    for (let i = 0; i < TIMED_KERNELS; i += 1) value = tf.add(value, start);
    return value;
  });
  try {
    let seconds = Infinity;
    for (let turn = 0; turn <= TIMED_PRODUCTS; turn += 1) {
      const began = performance.now();
      const [gradient, last] = tf.tidy(() => {
        const made = chain(x);
        return [made, tf.slice(made, [rows - 1, 0], [1, 1])];
      });
      await readValues(last!); // a device has done it when its result can be read
      tf.dispose([gradient!, last!]);
      if (turn > 0) seconds = Math.min(seconds, (performance.now() - began) / 1e3);
    }
    // each sum adds to the gradient of the start once
    return seconds / (2 * TIMED_KERNELS);
  } finally {
    x.dispose();
  }
}

/** Matrices `[out, in]` of the linear sites, and the output layer of a language model. */
function matricesOf({
  sites,
  parameters,
  head,
  vocabularySize,
  hiddenSize,
}: ModelDescription): (readonly [number, number])[] {
  const names = new Set(sites.flatMap((site) => (site.kind === 'linear' ? [site.weight] : [])));
  const own = parameters
    .filter(({ name, shape }) => names.has(name) && shape.length === 2)
    .map(({ shape }) => [shape[0]!, shape[1]!] as const);
  const writes = head.kind === 'causal-lm' || head.kind === 'seq2seq-lm';
  // an output layer of its own is a site, one that is the embedding is none
  const isTied = own.every(([out]) => out !== vocabularySize);
  return writes && isTied ? [...own, [vocabularySize, hiddenSize]] : own;
}

/** Operations a second of x·Wᵀ and dy·W together, the fastest of some. */
async function productSpeed(
  engine: Engine,
  [out, inputs]: readonly [number, number],
  rows: number,
  format: ConvertibleFormat,
): Promise<number> {
  const values = Float32Array.from(
    { length: out * inputs },
    (_, i) => ((i * 7919) % 201) / 100 - 1,
  );
  const weight = engine.freeze(memorySource('timed', [out, inputs], values), { format });
  const x = tf.ones([rows, inputs]) as Tensor2D;
  try {
    let seconds = Infinity;
    // the first one warms up
    for (let turn = 0; turn <= TIMED_PRODUCTS; turn += 1) {
      const began = performance.now();
      const y = engine.linear(x, weight);
      const dx = engine.linearInputGradient(y, weight);
      const last = tf.slice(dx, [rows - 1, 0], [1, 1]);
      await readValues(last); // a device has done it when its result can be read
      tf.dispose([y, dx, last]);
      if (turn > 0) seconds = Math.min(seconds, (performance.now() - began) / 1e3);
    }
    return (4 * rows * out * inputs) / seconds;
  } finally {
    x.dispose();
    weight.dispose();
  }
}
