/**
 * Cross entropy of a language model's head without its logits: loss_n = ln Σ_v exp z_nv − z_nt with
 * z = cap(scale·h·Wᵀ + b), h `[N, D]`, W `[V, D]`, b `[V]`, cap(z) = softCap·tanh(z/softCap) (Gemma
 * 2) or z itself.
 *
 * Rows are taken `chunk` at a time, and their logits `[chunk, V]` are computed again for the
 * gradient, so that `[N, V]` never exists. Rows labelled −100 cost nothing and have loss 0. With dz
 * = dloss·(softmax − onehot): dh = dz·W, dW = dzᵀ·h, db = Σ dz, dz passing through the cap as dz·(1
 * − (z/softCap)²) and through the scale.
 *
 * An engine with a pass of its own (`Engine.linearCrossEntropy`) reads a frozen W once for all rows,
 * a chunk of the vocabulary at a time, and makes dh with the loss.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { check } from '@peft/errors';
import {
  checkLabels,
  crossEntropyGradient,
  crossEntropyRows,
  IGNORED_LABEL,
} from './cross-entropy.js';
import { differentiable } from '../tape/differentiable.js';
import { copyRows, placeRows } from '../rows/copy-rows.js';
import { isFrozenWeight, type Weight } from '../products/linear.js';
import { product } from '../products/product.js';
import type { OnePassLoss, OutputLayerOptions } from '../weights/engine.js';
import { sumRows } from '../rows/sum-rows.js';

/** The output layer in front of the loss, and changes to the loss. */
export interface LinearCrossEntropyOptions {
  /** Rows whose logits exist at once. Default: as many as make 2²² logits, at least 1. */
  readonly chunk?: number;
  /** b `[V]` */
  readonly bias?: Tensor1D;
  /** Logits are multiplied by it (T5: D^−½). Default 1. */
  readonly scale?: number;
  /** Default 0: none. */
  readonly softCap?: number;
}

/**
 * @param hidden `[N, D]`.
 * @param weight `[V, D]`, frozen or trainable.
 * @param labels `[N]`, each in [0, V) or −100.
 * @returns loss `[N]`, owned by the enclosing scope.
 * @throws PEFT_LABEL_RANGE for a label outside.
 */
export function linearCrossEntropy(
  hidden: Tensor2D,
  weight: Weight,
  labels: Int32Array,
  options: LinearCrossEntropyOptions = {},
): Tensor1D {
  const [rows] = hidden.shape;
  const classes = weight.shape[0]!;
  const {
    bias,
    scale = 1,
    softCap = 0,
    chunk = Math.max(1, Math.floor(2 ** 22 / classes)),
  } = options;
  check.positiveInteger('linearCrossEntropy', 'chunk', chunk);
  checkLabels(labels, rows, classes);
  const chunks = labelledChunks(labels, chunk);
  const logitsOf = (x: Tensor2D, w: Weight, b: Tensor1D | undefined): Tensor2D => {
    const z = isFrozenWeight(w)
      ? w.engine.linear(x, w, scale === 1 ? b : undefined)
      : product(x, w, false, true);
    const scaled = scale === 1 ? z : tf.mul(z, scale);
    const biased = b && (scale !== 1 || !isFrozenWeight(w)) ? tf.add(scaled, b) : scaled;
    return (softCap > 0 ? tf.mul(tf.tanh(tf.div(biased, softCap)), softCap) : biased) as Tensor2D;
  };

  let isOnePass = false;
  return differentiable<'hidden' | 'weight' | 'bias', Tensor1D>(
    { hidden, bias, weight: isFrozenWeight(weight) ? undefined : weight },
    (save, needs) => {
      const made = needs.bias
        ? undefined
        : onePass(hidden, weight, labels, { bias, scale, softCap }, needs.hidden);
      if (made) {
        isOnePass = true;
        if (made.gradient) save([made.gradient]);
        return made.loss;
      }
      const parts = chunks.map((part) =>
        tf.tidy(() =>
          crossEntropyRows(
            logitsOf(copyRows(hidden, part), weight, bias),
            part.map((n) => labels[n]!),
          ),
        ),
      );
      const [loss, logSumExp] = [0, 1].map((i) =>
        placeRows(
          parts.map((part) => part[i]!),
          chunks,
          [rows],
        ),
      );
      save([
        hidden,
        logSumExp!,
        ...(isFrozenWeight(weight) ? [] : [weight]),
        ...(bias ? [bias] : []),
      ]);
      return loss!;
    },
    ({ dy, saved: [savedHidden, logSumExp, ...rest], needs }) => {
      if (isOnePass) {
        const own = copyRows(dy as Tensor1D, labelledRows(labels));
        const scaled = tf.mul(savedHidden!, tf.reshape(own, [-1, 1])) as Tensor2D;
        return { hidden: placeRows([scaled], [labelledRows(labels)], hidden.shape) };
      }
      const w = isFrozenWeight(weight) ? weight : (rest.shift() as Tensor2D);
      const b = rest.shift() as Tensor1D | undefined;
      const x = savedHidden as Tensor2D;
      let dWeight = needs.weight ? tf.zeros<tf.Rank.R2>(w.shape as [number, number]) : undefined;
      let dBias = needs.bias ? tf.zeros<tf.Rank.R1>([classes]) : undefined;
      const pieces: Tensor2D[] = [];
      for (const part of chunks) {
        const made = tf.tidy(() => {
          const h = copyRows(x, part);
          const logits = logitsOf(h, w, b);
          const dz = crossEntropyGradient(
            logits,
            copyRows(logSumExp as Tensor1D, part),
            part.map((n) => labels[n]!),
            copyRows(dy as Tensor1D, part),
          );
          const dBiased = (
            softCap > 0 ? tf.mul(dz, tf.sub(1, tf.square(tf.div(logits, softCap)))) : dz
          ) as Tensor2D;
          const dProduct = (scale === 1 ? dBiased : tf.mul(dBiased, scale)) as Tensor2D;
          return {
            hidden: needs.hidden ? inputGradient(dProduct, w) : undefined,
            weight: dWeight && tf.add(dWeight, product(dProduct, h, true, false)),
            bias: dBias && tf.add(dBias, sumRows(dBiased)),
          };
        });
        if (made.hidden) pieces.push(made.hidden);
        dWeight?.dispose();
        dBias?.dispose();
        dWeight = made.weight as Tensor2D | undefined;
        dBias = made.bias as Tensor1D | undefined;
      }
      return {
        hidden: needs.hidden ? placeRows(pieces, chunks, x.shape) : undefined,
        weight: dWeight,
        bias: dBias,
      };
    },
  );
}

/** The engine's own pass, if it has one: the loss `[N]`, and dloss/dh of the labelled rows. */
function onePass(
  hidden: Tensor2D,
  weight: Weight,
  labels: Int32Array,
  options: OutputLayerOptions,
  withGradient: boolean,
): OnePassLoss | undefined {
  if (!isFrozenWeight(weight) || !weight.engine.linearCrossEntropy) return undefined;
  const rows = labelledRows(labels);
  const x = copyRows(hidden, rows);
  const made = weight.engine.linearCrossEntropy(
    x,
    weight,
    rows.map((n) => labels[n]!),
    options,
    withGradient,
  );
  x.dispose();
  if (!made) return undefined;
  const loss = placeRows([made.loss], [rows], [hidden.shape[0]]);
  made.loss.dispose();
  return { loss, gradient: made.gradient };
}

function labelledRows(labels: Int32Array): Int32Array {
  return Int32Array.from(labels.keys()).filter((n) => labels[n] !== IGNORED_LABEL);
}

/** The labelled rows, `size` at a time. */
function labelledChunks(labels: Int32Array, size: number): Int32Array[] {
  const rows = labelledRows(labels);
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) =>
    rows.slice(i * size, (i + 1) * size),
  );
}

/** dLogits · W, `[n, V] · [V, D]`. */
const inputGradient = (dLogits: Tensor2D, w: Weight): Tensor2D =>
  isFrozenWeight(w) ? w.engine.linearInputGradient(dLogits, w) : product(dLogits, w);
