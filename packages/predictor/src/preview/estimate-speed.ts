/**
 * How fast a model would train that nobody has trained here yet. An estimate: the operations that its
 * matrices need for a token, by the speed of one product with such a matrix, which is measured.
 * What a step does beside (attention, norms, adapters, the optimiser) comes on top.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ModelDescription } from '@peft/core';
import { memorySource, readValues, type ConvertibleFormat, type Engine } from '@peft/ops';

/** The most that a step could do. */
export interface SpeedEstimate {
  /** Of a step's passes, forward and backward. */
  readonly operationsPerToken: number;
  /** Of one product. */
  readonly operationsPerSecond: number;
}

/** Bounds of the product that is timed: milliseconds on any machine. */
const LARGEST_SIDE = 2048;
const LARGEST_ROWS = 512;
const TIMED_PRODUCTS = 3;

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
  const key = [engine.description, how.format, rows, ...sides].join(' ');
  const known = measured.get(key) ?? (await productSpeed(engine, sides, rows, how.format));
  measured.set(key, known);
  return { operationsPerToken: 2 * passes * elements, operationsPerSecond: known };
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
