/**
 * Cross entropy of each row: loss_n = w_t·(1 − ε)·(L − z_t) + (ε/V)·Σ_c w_c·(L − z_c) with logits z
 * `[N, V]`, L = ln Σ_c exp z_c, target t, class weights w (default 1) and label smoothing ε, as
 * PyTorch's `CrossEntropyLoss(weight, label_smoothing, reduction='none')`. Rows labelled −100 have
 * loss 0 and no gradient. To average as PyTorch does, divide the sum by Σ_n w_t (the number of
 * labelled rows without weights).
 *
 * Gradient: dz_c = dloss·( (w_t·(1 − ε) + (ε/V)·Σw)·softmax_c − w_t·(1 − ε)·[c = t] − (ε/V)·w_c ).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import { differentiable } from '../tape/differentiable.js';
import { runKernel } from '../tape/kernel.js';

/** The label of a row that has none. */
export const IGNORED_LABEL = -100;

/** Changes to the plain loss. */
export interface CrossEntropyOptions {
  /** ε in [0, 1). Default 0. */
  readonly labelSmoothing?: number;
  /** A factor per class, `[V]`. */
  readonly weights?: Float32Array;
}

/**
 * @param logits `[N, V]`. @param labels `[N]`, each in [0, V) or −100.
 * @returns loss `[N]`, owned by the enclosing scope.
 * @throws PEFT_LABEL_RANGE for a label outside, or as many labels as there are not rows.
 */
export function crossEntropy(
  logits: Tensor2D,
  labels: Int32Array,
  { labelSmoothing = 0, weights }: CrossEntropyOptions = {},
): Tensor1D {
  const [rows, classes] = logits.shape;
  checkLabels(labels, rows, classes);
  check.probability('crossEntropy', 'labelSmoothing', labelSmoothing);
  if (weights && weights.length !== classes)
    throw labelError(`${weights.length} class weights were given for ${classes} classes`);
  const plain = labelSmoothing === 0 && !weights;
  const parts = plain ? undefined : rowFactors(labels, classes, labelSmoothing, weights);
  return differentiable<'logits', Tensor1D>(
    { logits },
    (save) => {
      const [loss, logSumExp] = crossEntropyRows(logits, labels);
      save([logits, logSumExp]);
      if (!parts) return loss;
      const weighted = tf.mul(loss, parts.target);
      if (labelSmoothing === 0) return weighted;
      const smooth = tf.sub(
        tf.mul(logSumExp, parts.smoothingTotal),
        tf.sum(tf.mul(logits, parts.smoothing), 1),
      ); // (ε/V)·Σ_c w_c·(L − z_c)
      return tf.add(weighted, tf.mul(smooth, parts.labelled));
    },
    ({ dy, saved }) => {
      const [savedLogits, logSumExp] = saved as [Tensor2D, Tensor1D];
      if (!parts)
        return { logits: crossEntropyGradient(savedLogits, logSumExp, labels, dy as Tensor1D) };
      const target = crossEntropyGradient(savedLogits, logSumExp, labels, tf.mul(dy, parts.target));
      if (labelSmoothing === 0) return { logits: target };
      const column = (values: Tensor) => tf.expandDims(values, 1);
      const probabilities = tf.exp(tf.sub(savedLogits, column(logSumExp)));
      return {
        logits: tf.add(
          target,
          tf.mul(
            column(tf.mul(dy, parts.labelled)),
            tf.sub(tf.mul(probabilities, parts.smoothingTotal), parts.smoothing),
          ),
        ),
      };
    },
  );
}

/** [loss `[N]`, logSumExp `[N]`] of plain cross entropy, outside the tape. */
export function crossEntropyRows(logits: Tensor2D, labels: Int32Array): [Tensor1D, Tensor1D] {
  return runKernel('PeftCrossEntropy', { logits }, { labels }, () =>
    referenceCrossEntropy(logits, labels),
  ) as [Tensor1D, Tensor1D];
}

/** dlogits = (softmax − onehot)·dloss, outside the tape. */
export function crossEntropyGradient(
  logits: Tensor2D,
  logSumExp: Tensor1D,
  labels: Int32Array,
  dloss: Tensor1D,
): Tensor2D {
  return runKernel('PeftCrossEntropyGradient', { logits, logSumExp, dloss }, { labels }, () => [
    referenceGradient(logits, logSumExp, labels, dloss),
  ])[0] as Tensor2D;
}

/** @throws PEFT_LABEL_RANGE */
export function checkLabels(labels: Int32Array, rows: number, classes: number): void {
  if (labels.length !== rows)
    throw labelError(`${labels.length} labels were given for ${rows} rows`);
  for (let n = 0; n < rows; n += 1) {
    const label = labels[n]!;
    if (label !== IGNORED_LABEL && (label < 0 || label >= classes))
      throw labelError(`label ${label} of row ${n} is outside the ${classes} classes`);
  }
}

function labelError(problem: string): PeftError {
  return new PeftError('PEFT_LABEL_RANGE', `crossEntropy: ${problem}.`, {
    hint: 'labels are class numbers from 0, or -100 for a row to leave out',
  });
}

/**
 * Constants of the weighted and smoothed form. They are made off the tape and owned by the scope of
 * the call.
 */
function rowFactors(
  labels: Int32Array,
  classes: number,
  epsilon: number,
  weights: Float32Array | undefined,
) {
  const w = weights ?? new Float32Array(classes).fill(1);
  const smoothing = w.map((value) => (value * epsilon) / classes);
  const target = Float32Array.from(labels, (label) =>
    label === IGNORED_LABEL ? 0 : (1 - epsilon) * w[label]!,
  );
  const labelled = Float32Array.from(labels, (label) => (label === IGNORED_LABEL ? 0 : 1));
  return {
    /** w_t·(1 − ε) `[N]` */ target,
    /** 1, or 0 for a row left out `[N]` */ labelled,
    /** (ε/V)·w `[V]` */ smoothing,
    smoothingTotal: smoothing.reduce((sum, value) => sum + value, 0),
  };
}

/** [loss, logSumExp] */
function referenceCrossEntropy(logits: Tensor2D, labels: Int32Array): Tensor[] {
  const largest = tf.max(logits, 1, true);
  const logSumExp = tf.add(
    tf.log(tf.sum(tf.exp(tf.sub(logits, largest)), 1)),
    tf.squeeze(largest, [1]),
  );
  const loss = tf.where(
    isLabelled(labels),
    tf.sub(logSumExp, tf.gatherND(logits, labelPlaces(labels))),
    tf.zerosLike(logSumExp),
  );
  return [loss, logSumExp];
}

/** Where each row's label stands, `[N, 2]`; that of a row without one is class 0. */
const labelPlaces = (labels: Int32Array): Tensor2D =>
  tf.tensor2d(
    Int32Array.from({ length: 2 * labels.length }, (_, i) =>
      i % 2 === 0 ? i >> 1 : Math.max(0, labels[i >> 1]!),
    ),
    [labels.length, 2],
    'int32',
  );

const isLabelled = (labels: Int32Array): Tensor1D =>
  tf.tensor1d(
    Uint8Array.from(labels, (label) => Number(label !== IGNORED_LABEL)),
    'bool',
  );

function referenceGradient(
  logits: Tensor2D,
  logSumExp: Tensor,
  labels: Int32Array,
  dloss: Tensor,
): Tensor {
  const wanted = tf.where(isLabelled(labels), dloss, tf.zerosLike(dloss));
  const gradient = tf.mul(
    tf.exp(tf.sub(logits, tf.expandDims(logSumExp, 1))),
    tf.expandDims(wanted, 1),
  );
  // one element per row instead of a one-hot matrix [N, V]
  const places = labelPlaces(labels);
  return tf.tensorScatterUpdate(gradient, places, tf.sub(tf.gatherND(gradient, places), wanted));
}
