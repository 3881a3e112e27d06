/**
 * Ranking documents by how well they answer a query, with a score s for each pair of both (the
 * single logit `[B, 1]` of a cross-encoder):
 *
 *   pointwise   Σ_d −r·ln σ(s) − (1 − r)·ln(1 − σ(s)), relevance r in [0, 1]; the count is that of the pairs
 *   margin      Σ max(0, m − (s_i − s_j)) over documents i, j of a query with r_i > r_j; the count is theirs
 *   list        Σ_q −Σ_d (r_d/Σr)·ln softmax(s)_d over the documents of a query; the count is that of queries
 *               with a relevant document
 *
 * (PyTorch's `BCEWithLogitsLoss` and `MarginRankingLoss`, TF-Ranking's softmax loss.)
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import type { ModelBatch } from '@peft/core';
import type { DocumentBatch } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { binaryCrossEntropy, gatherRows, listCrossEntropy, readValues } from '@peft/ops';
import { logitsOf } from './classification.js';
import { noLoss } from './language-model-loss.js';
import { forwardHead } from './forward-head.js';
import type { Task } from './task.js';

/** A packed batch of pairs, which knows the documents of each query. */
export type RankingBatch = ModelBatch & Pick<DocumentBatch, 'labels' | 'exampleOffsets'>;

/** What is compared: each pair with its relevance, two documents, or all documents of a query. */
export const RANKING_LOSSES = Object.freeze(['pointwise', 'margin', 'list'] as const);
/** One of {@link RANKING_LOSSES}. */
export type RankingLoss = (typeof RANKING_LOSSES)[number];

/** Settings of {@link ranking}; they change the loss. */
export interface RankingOptions {
  /** Default `pointwise`. */
  readonly loss?: RankingLoss;
  /** m, above 0. Default 1. */
  readonly margin?: number;
}

const NAME = 'ranking';

/**
 * The task of ranking documents. A prediction is the scores of a query's documents, in their order.
 * @throws PEFT_CONFIG_INVALID; the loss PEFT_TASK_LABELS, PEFT_TASK_HEAD, PEFT_LABEL_RANGE
 */
export function ranking({ loss = 'pointwise', margin = 1 }: RankingOptions = {}): Task<
  RankingBatch,
  Float64Array
> {
  check.oneOf(NAME, 'loss', loss, RANKING_LOSSES);
  check.positive(NAME, 'margin', margin);
  const compared = LOSSES[loss];
  return Object.freeze<Task<RankingBatch, Float64Array>>({
    name: NAME,
    forward: forwardHead,
    settings: { loss, margin },
    count: (batch) => compared.count(checked(batch)),
    loss: (output, batch) => compared.sum(logitsOf(NAME, output, 1), checked(batch), margin),
    async predict(output, { exampleOffsets }) {
      // [B, 1]: a prediction is made of numbers
      const scores = Float64Array.from(await readValues(logitsOf(NAME, output, 1)));
      return Array.from(exampleOffsets.slice(1), (end, r) => scores.slice(exampleOffsets[r], end));
    },
  });
}

/** How many things a loss sums over, and the sum. */
interface Comparison {
  count(batch: RankingBatch): number;
  sum(scores: Tensor2D, batch: RankingBatch, margin: number): Scalar;
}

const LOSSES: Readonly<Record<RankingLoss, Comparison>> = Object.freeze({
  pointwise: {
    count: ({ labels }) => labels.length,
    sum: (scores, { labels }) => tf.sum(binaryCrossEntropy(scores, labels)) as Scalar,
  },
  margin: {
    count: (batch) => orderedPairs(batch).better.length,
    sum(scores, batch, margin) {
      const { better, worse } = orderedPairs(batch);
      if (better.length === 0) return tf.sum(noLoss(scores)) as Scalar;
      const ahead = tf.sub(gatherRows(scores, better), gatherRows(scores, worse)); // s_i − s_j
      return tf.sum(tf.relu(tf.sub(margin, ahead))) as Scalar;
    },
  },
  list: {
    count: ({ labels, exampleOffsets }) =>
      Array.from(exampleOffsets.slice(1)).filter((end, r) =>
        labels.subarray(exampleOffsets[r], end).some((relevance) => relevance > 0),
      ).length,
    sum: (scores, { labels, exampleOffsets }) =>
      tf.sum(
        listCrossEntropy(tf.reshape(scores, [labels.length]), labels, exampleOffsets),
      ) as Scalar,
  },
} satisfies Record<RankingLoss, Comparison>);

/** Documents of one query of which the first is more relevant. */
function orderedPairs({ labels, exampleOffsets }: RankingBatch): {
  readonly better: Int32Array;
  readonly worse: Int32Array;
} {
  const better: number[] = [];
  const worse: number[] = [];
  for (let r = 0; r + 1 < exampleOffsets.length; r += 1)
    for (let i = exampleOffsets[r]!; i < exampleOffsets[r + 1]!; i += 1)
      for (let j = exampleOffsets[r]!; j < exampleOffsets[r + 1]!; j += 1)
        if (labels[i]! > labels[j]!) {
          better.push(i);
          worse.push(j);
        }
  return { better: Int32Array.from(better), worse: Int32Array.from(worse) };
}

function checked(batch: RankingBatch): RankingBatch {
  const { labels, offsets, exampleOffsets } = batch;
  const pairs = offsets.length - 1;
  if (labels instanceof Float32Array && labels.length === pairs && exampleOffsets.at(-1) === pairs)
    return batch;
  throw new PeftError(
    'PEFT_TASK_LABELS',
    `${NAME}: a batch of ${pairs} pairs has ${labels ? `${labels.length} relevances` : 'no relevances'}.`,
    { hint: 'make the data with documentData of @peft/data' },
  );
}
