/**
 * Classification of sequences that may have any number of C labels: binary cross entropy of each
 * logit `[B, C]`,
 *
 * loss = Σ_b (1/C)·Σ_c [ (1 − y)·z + (1 + (p_c − 1)·y)·ln(1 + e^{−z}) ],
 *
 * so that a step's mean is PyTorch's `BCEWithLogitsLoss(pos_weight=p)`, the loss of transformers'
 * `multi_label_classification`. Label smoothing ε takes y·(1 − ε) + ε/2 for y; a focus γ multiplies each
 * term by |y − σ(z)|^γ of the label as it is (torchvision's `sigmoid_focal_loss` without its α), weights of
 * rows count in the loss and in the count.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import { binaryCrossEntropy, focal, readValues } from '@peft/ops';
import { checkFocus, checkWeights, logitsOf } from './classification.js';
import { rowWeights, totalWeight, type WeightedBatch } from './row-weights.js';
import { forwardHead } from './forward-head.js';
import type { Task } from './task.js';

/** A packed batch that says of each sequence which labels it has. */
export interface MultiLabelBatch extends WeightedBatch {
  /** float32 `[B·C]`, 1 where the sequence has the label. Needed for the loss. */
  readonly labels?: Int32Array | Float32Array;
}

/** Settings of {@link multiLabelClassification}; they change the loss. */
export interface MultiLabelOptions {
  /** C. */
  readonly labels: number;
  /** p `[C]`, above 0: how much a positive counts against a negative. Default 1. */
  readonly positiveWeights?: readonly number[];
  /** ε in [0, 1). Default 0. */
  readonly labelSmoothing?: number;
  /** γ, at least 0. Default 0. */
  readonly focalGamma?: number;
}

const NAME = 'multi-label-classification';

/**
 * The task of telling which labels a text has. A prediction is the probability of each label `[C]`,
 * σ(z) in float64.
 * @throws PEFT_CONFIG_INVALID for an option out of range; the loss PEFT_TASK_LABELS,
 *   PEFT_TASK_HEAD, PEFT_LABEL_RANGE
 */
export function multiLabelClassification({
  labels,
  positiveWeights,
  labelSmoothing = 0,
  focalGamma = 0,
}: MultiLabelOptions): Task<MultiLabelBatch, Float64Array> {
  check.positiveInteger(NAME, 'labels', labels);
  check.probability(NAME, 'labelSmoothing', labelSmoothing);
  checkFocus(NAME, focalGamma);
  if (positiveWeights) checkWeights(NAME, 'positiveWeights', positiveWeights, labels);
  const weights = positiveWeights && Float32Array.from(positiveWeights);
  return Object.freeze<Task<MultiLabelBatch, Float64Array>>({
    name: NAME,
    forward: forwardHead,
    settings: { labels, positiveWeights, labelSmoothing, focalGamma: focalGamma || undefined },
    count: (batch) => totalWeight(rowWeights(NAME, batch), batch.offsets.length - 1),
    loss(output, batch) {
      const logits = logitsOf(NAME, output, labels);
      const losses = binaryCrossEntropy(logits, targetsOf(batch, labels, labelSmoothing), {
        positiveWeights: weights,
      });
      const focused =
        focalGamma === 0
          ? losses
          : focal(losses, binaryCrossEntropy(logits, targetsOf(batch, labels, 0)), focalGamma);
      const rows = rowWeights(NAME, batch);
      const counted = rows ? tf.mul(focused, tf.tensor2d(rows, [rows.length, 1])) : focused;
      return tf.div(tf.sum(counted), labels) as Scalar;
    },
    async predict(output) {
      // [B, C]: a prediction is made of numbers
      const values = await readValues(logitsOf(NAME, output, labels));
      return Array.from({ length: values.length / labels }, (_, b) =>
        Float64Array.from(
          values.subarray(b * labels, (b + 1) * labels),
          (z) => 1 / (1 + Math.exp(-z)),
        ),
      );
    },
  });
}

function targetsOf(
  { labels, offsets }: MultiLabelBatch,
  count: number,
  smoothing: number,
): Float32Array {
  const wanted = (offsets.length - 1) * count;
  if (labels instanceof Float32Array && labels.length === wanted)
    return smoothing === 0 ? labels : labels.map((y) => y * (1 - smoothing) + smoothing / 2);
  const got = labels ? `${labels.length} labels of type ${labels.constructor.name}` : 'no labels';
  throw new PeftError(
    'PEFT_TASK_LABELS',
    `${NAME}: a batch of ${offsets.length - 1} sequences has ${got}, ${wanted} are needed.`,
    { hint: 'pack a 0 or 1 per sequence and label with the batch, in a Float32Array' },
  );
}
