/**
 * Binary cross entropy of each logit, for labels that do not exclude one another:
 *
 *   loss_nc = (1 − y)·z + (1 + (p_c − 1)·y)·ln(1 + e^{−z})
 *
 * with logits z `[N, C]`, targets y in [0, 1] and a weight p_c of the positives, as PyTorch's
 * `BCEWithLogitsLoss(pos_weight, reduction='none')`. Gradient: dz = dloss·( (1 − y) − (1 + (p_c −
 * 1)·y)·σ(−z) ).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { differentiable } from '../tape/differentiable.js';

/** Changes to the plain loss. */
export interface BinaryCrossEntropyOptions {
  /** p `[C]`, above 0. Default 1. */
  readonly positiveWeights?: Float32Array;
}

/**
 * @param logits `[N, C]`. @param targets `[N·C]` row by row, each in [0, 1].
 * @returns loss `[N, C]`, owned by the enclosing scope.
 * @throws PEFT_LABEL_RANGE for a target outside, or another number of targets or weights
 */
export function binaryCrossEntropy(
  logits: Tensor2D,
  targets: Float32Array,
  { positiveWeights }: BinaryCrossEntropyOptions = {},
): Tensor2D {
  const [rows, classes] = logits.shape;
  checkTargets(targets, rows, classes);
  if (positiveWeights && positiveWeights.length !== classes)
    throw targetError(`${positiveWeights.length} weights were given for ${classes} labels`);
  const weightOf = (i: number): number => (positiveWeights ? positiveWeights[i % classes]! : 1);
  const negative = Float32Array.from(targets, (y) => 1 - y);
  const factor = Float32Array.from(targets, (y, i) => 1 + (weightOf(i) - 1) * y);
  return differentiable<'logits', Tensor2D>(
    { logits },
    (save) => {
      save([logits]);
      return tf.tidy(() => {
        // ln(1 + e^{−z}) without overflow
        const softplus = tf.add(
          tf.relu(tf.neg(logits)),
          tf.log(tf.add(tf.exp(tf.neg(tf.abs(logits))), 1)),
        );
        return tf.add(
          tf.mul(logits, tf.tensor2d(negative, [rows, classes])),
          tf.mul(softplus, tf.tensor2d(factor, [rows, classes])),
        );
      });
    },
    ({ dy, saved }) => {
      const missing = tf.sigmoid(tf.neg(saved[0]!)); // σ(−z)
      const slope = tf.sub(
        tf.tensor2d(negative, [rows, classes]),
        tf.mul(missing, tf.tensor2d(factor, [rows, classes])),
      );
      return { logits: tf.mul(dy, slope) };
    },
  );
}

function checkTargets(targets: Float32Array, rows: number, classes: number): void {
  if (targets.length !== rows * classes)
    throw targetError(`${targets.length} targets were given for ${rows} rows of ${classes} labels`);
  const bad = targets.findIndex((y) => !(y >= 0 && y <= 1));
  if (bad >= 0)
    throw targetError(
      `the target of label ${bad % classes} in row ${Math.floor(bad / classes)} is ${targets[bad]}`,
    );
}

const targetError = (problem: string): PeftError =>
  new PeftError('PEFT_LABEL_RANGE', `binaryCrossEntropy: ${problem}.`, {
    hint: 'give each row a number in [0, 1] per label',
  });
