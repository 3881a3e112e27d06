/**
 * Embeddings of texts by contrast (InfoNCE, van den Oord et al. 2018; in-batch negatives as in
 * SimCSE and sentence-transformers): an anchor is to be nearer to its own text than to all others
 * of the batch,
 *
 *   loss = Σ_r −ln( e^{s(a_r, c_r)/τ} / Σ_j e^{s(a_r, c_j)/τ} ),
 *
 * s the cosine, c_1 … c_R the positives, c_R+1 … the negatives of all rows.
 *
 * Matryoshka embeddings (Kusupati et al. 2022, arXiv 2205.13147, eq. 1; sentence-transformers'
 * `MatryoshkaLoss`) are to serve when they are cut to their first d numbers, too: the loss is Σ_d w_d
 * times that of the embeddings cut to d.
 *
 * The others are those that are computed at once: unlike other losses, this one depends on how a
 * batch is split into micro-batches.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import { pool, type ModelBatch, type ModelOutput } from '@peft/core';
import type { TokenBatch } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { crossEntropy, gatherRows, readInScope, readValues } from '@peft/ops';
import type { Task } from './task.js';

/** A packed batch of groups of texts: anchor, positive, negatives. */
export type EmbeddingBatch = ModelBatch & Pick<TokenBatch, 'exampleOffsets'>;

/** Settings of {@link embeddings}; they change the loss, so a resumed run must share them. */
export interface EmbeddingsOptions {
  /** τ. Default 0.05. */
  readonly temperature?: number;
  /** Mean of the tokens' states, or the first or last of them. Default `mean`. */
  readonly pooling?: 'mean' | 'first' | 'last';
  /** Scale embeddings to length 1, so that s is the cosine. Default true. */
  readonly normalize?: boolean;
  /** Also ask which anchor a positive belongs to; the loss is the mean of both. Default false. */
  readonly symmetric?: boolean;
  /** d of Matryoshka embeddings, each once. Default: the whole embedding alone. */
  readonly dimensions?: readonly number[];
  /** w of each of `dimensions`, above 0. Default 1. */
  readonly dimensionWeights?: readonly number[];
}

const NAME = 'embeddings';
const SMALLEST_SQUARE = 1e-24;

/**
 * The task of embedding texts. A prediction is the embeddings `[D]` of an example's texts.
 * @throws PEFT_CONFIG_INVALID; the loss PEFT_TASK_LABELS
 */
export function embeddings({
  temperature = 0.05,
  pooling = 'mean',
  normalize = true,
  symmetric = false,
  dimensions,
  dimensionWeights = dimensions?.map(() => 1),
}: EmbeddingsOptions = {}): Task<EmbeddingBatch, readonly Float32Array[]> {
  check.positive(NAME, 'temperature', temperature);
  check.oneOf(NAME, 'pooling', pooling, ['mean', 'first', 'last']);
  check.boolean(NAME, 'normalize', normalize);
  check.boolean(NAME, 'symmetric', symmetric);
  if (dimensions) checkDimensions(dimensions, dimensionWeights!);
  const parts = dimensions?.map((size, i) => ({ size, weight: dimensionWeights![i]! }));
  const pooledOf = (output: ModelOutput): Tensor2D =>
    pooling === 'last'
      ? gatherRows(
          output.hidden,
          output.offsets.slice(1).map((end) => end - 1),
        )
      : pool(output, pooling);
  const scaled = (pooled: Tensor2D): Tensor2D =>
    normalize
      ? tf.div<Tensor2D>(
          pooled,
          tf.sqrt(tf.add(tf.sum(tf.square(pooled), 1, true), SMALLEST_SQUARE)),
        )
      : pooled;
  return Object.freeze<Task<EmbeddingBatch, readonly Float32Array[]>>({
    name: NAME,
    settings: { temperature, pooling, normalize, symmetric, dimensions, dimensionWeights },
    count: ({ exampleOffsets }) => exampleOffsets.length - 1,
    loss(output, { exampleOffsets }) {
      const size = exampleOffsets[1]! - exampleOffsets[0]!;
      if (size < 2)
        throw new PeftError(
          'PEFT_TASK_LABELS',
          `${NAME}: an example has ${size} text, an anchor and a text like it are needed.`,
          { hint: 'make the data with textGroupData of @peft/data' },
        );
      const pooled = pooledOf(output);
      if (!parts) return contrast(scaled(pooled), exampleOffsets, temperature, symmetric);
      return parts
        .map(({ size: width, weight }) => {
          const cut = tf.slice(pooled, [0, 0], [-1, checkedWidth(width, pooled.shape[1])]);
          return tf.mul<Scalar>(
            contrast(scaled(cut as Tensor2D), exampleOffsets, temperature, symmetric),
            weight,
          );
        })
        .reduce((sum, part) => tf.add<Scalar>(sum, part));
    },
    async predict(output, { exampleOffsets }) {
      const width = output.hidden.shape[1];
      // [B, D]: a prediction is made of numbers
      const values = await readInScope(() => readValues(scaled(pooledOf(output))));
      return Array.from(exampleOffsets.slice(1), (end, r) =>
        Array.from({ length: end - exampleOffsets[r]! }, (_, i) =>
          values.slice((exampleOffsets[r]! + i) * width, (exampleOffsets[r]! + i + 1) * width),
        ),
      );
    },
  });
}

/** Σ_r of the loss of each group: which of all candidates is its anchor's own. */
function contrast(
  all: Tensor2D,
  exampleOffsets: Int32Array,
  temperature: number,
  symmetric: boolean,
): Scalar {
  const size = exampleOffsets[1]! - exampleOffsets[0]!;
  const column = (i: number): Tensor2D =>
    gatherRows(
      all,
      exampleOffsets.slice(0, -1).map((start) => start + i),
    );
  const [anchors, positives] = [column(0), column(1)];
  const candidates = tf.concat(
    [positives, ...Array.from({ length: size - 2 }, (_, i) => column(i + 2))],
    0,
  ) as Tensor2D;
  const own = Int32Array.from({ length: anchors.shape[0] }, (_, r) => r);
  const cost = (from: Tensor2D, to: Tensor2D): Scalar =>
    tf.sum(crossEntropy(tf.div(tf.matMul(from, to, false, true), temperature), own)) as Scalar;
  return symmetric
    ? tf.div(tf.add(cost(anchors, candidates), cost(positives, anchors)), 2)
    : cost(anchors, candidates);
}

function checkDimensions(dimensions: readonly number[], weights: readonly number[]): void {
  check.positiveInteger(NAME, 'number of dimensions', dimensions.length);
  for (const [i, size] of dimensions.entries())
    check.positiveInteger(NAME, `dimensions[${i}]`, size);
  for (const [i, weight] of weights.entries())
    check.positive(NAME, `dimensionWeights[${i}]`, weight);
  if (new Set(dimensions).size === dimensions.length && weights.length === dimensions.length)
    return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${NAME}: dimensions [${dimensions.join(', ')}] and dimensionWeights [${weights.join(', ')}] do not go together.`,
    { hint: 'name each dimension once, with a weight for each or none at all' },
  );
}

/** @throws PEFT_CONFIG_INVALID for more dimensions than the model has */
function checkedWidth(wanted: number, width: number): number {
  if (wanted <= width) return wanted;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${NAME}: the model's embeddings have ${width} dimensions, ${wanted} were asked for.`,
    { hint: `name dimensions up to ${width}` },
  );
}

/**
 * The first `size` numbers of an embedding, of length 1 again.
 * @throws PEFT_CONFIG_INVALID when it has fewer
 */
export function truncateEmbedding(embedding: Float32Array, size: number): Float32Array {
  const cut = embedding.slice(0, checkedWidth(size, embedding.length));
  const square = cut.reduce((sum, value) => sum + value * value, 0);
  return cut.map((value) => value / Math.sqrt(square + SMALLEST_SQUARE));
}
