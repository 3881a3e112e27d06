/**
 * CorDA: the weight is decomposed together with the covariance of what it reads. Yang et al. 2024,
 * "CorDA: Context-Oriented Decomposition Adaptation of Large Language Models", eq. 2–6:
 *
 *   C = mean over sequences of XᵀX/max(X)², C' = C + 0.01·mean(diag C)·I     [in, in]
 *   W·C' = U·Σ·Vᵀ, B₀ = U_r·√(Σ_r/s), A₀ = √(Σ_r/s)·V_rᵀ·C'⁻¹
 *
 * `ipm` takes the r largest of Σ, `kpm` the r smallest; s·B₀·A₀ leaves the base weight, so that
 * training starts at the base's function.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import type { StartFromData } from '@peft/core';
import { PeftError } from '@peft/errors';
import { dominantSvd, readValues, rowsOf, truncatedSvd, type Rows, type Svd } from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import type { DataStart } from './data-start-options.js';
import type { StartMatrices } from './given-start.js';
import { observeInputs, type InputObserver, type LayerInput } from './observe-inputs.js';

/** Of the covariance's mean diagonal, added to it. */
const DAMPING = 0.01;

/** @throws PEFT_CONFIG_INVALID for a rank that a layer does not have */
export async function cordaStart(
  config: LoraConfig,
  { batches, mode }: DataStart,
  { model, part, data }: StartFromData,
): Promise<ReadonlyMap<string, StartMatrices>> {
  const observer = observeInputs(model, part);
  const covariances = new Map<string, Tensor2D>();
  const counts = new Map<string, number>();
  try {
    for await (const batch of data.batches(batches))
      for (const [path, input] of observer.inputs(batch)) {
        const sum = covariances.get(path);
        covariances.set(path, addCovariance(sum, input));
        counts.set(path, (counts.get(path) ?? 0) + input.offsets.length - 1);
        tf.dispose([input.x, ...(sum ? [sum] : [])]);
      }
    const matrices = new Map<string, StartMatrices>();
    for (const [path, sum] of covariances) {
      const covariance = rowsOf(await readValues(sum), ...sum.shape); // decomposed outside of the backend
      for (const row of covariance) row.forEach((value, j) => (row[j] = value / counts.get(path)!));
      matrices.set(path, await decomposed(path, observer, covariance, config, mode));
    }
    return matrices;
  } finally {
    for (const sum of covariances.values()) sum.dispose();
    observer.dispose();
  }
}

/** Σ over sequences of XᵀX/max(X)² `[in, in]`, with those before. */
function addCovariance(sum: Tensor2D | undefined, { x, offsets }: LayerInput): Tensor2D {
  return tf.tidy(() => {
    const terms: Tensor2D[] = sum ? [sum] : [];
    for (let b = 0; b + 1 < offsets.length; b += 1) {
      const sequence = tf.slice(x, [offsets[b]!, 0], [offsets[b + 1]! - offsets[b]!, x.shape[1]]);
      const scaled = tf.div<Tensor2D>(sequence, tf.max<Scalar>(sequence));
      terms.push(tf.matMul(scaled, scaled, true));
    }
    return terms.length === 1 ? tf.clone(terms[0]!) : tf.addN(terms);
  });
}

async function decomposed(
  path: string,
  observer: InputObserver,
  covariance: Rows,
  config: LoraConfig,
  mode: DataStart['mode'],
): Promise<StartMatrices> {
  const { rank, scaling } = strengthAt(path, config);
  const site = observer.layers.get(path)!;
  const most = Math.min(site.inFeatures, site.outFeatures);
  if (rank > most)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: init 'corda' takes ${rank} directions of ${path}, which has ${most}.`,
      { hint: `lower the rank to ${most}, there alone by rankPattern` },
    );
  const mean = covariance.reduce((total, row, i) => total + row[i]!, 0) / covariance.length;
  covariance.forEach((row, i) => (row[i]! += DAMPING * mean));
  const weight = site.dequantizedWeight();
  const rows = rowsOf(await readValues(weight), ...weight.shape);
  weight.dispose();
  const product = rows.map((row) => covariance.map((column) => dot(row, column))); // C' is symmetric
  const svd = extremes(
    product.map((row) => Float64Array.from(row)),
    rank,
    most,
    mode,
  );
  const right = solved(covariance, svd.right);
  const roots = svd.values.map((value) => Math.sqrt(value / scaling));
  return {
    a: Float32Array.from(right.flatMap((v, k) => [...v].map((value) => value * roots[k]!))),
    b: Float32Array.from({ length: site.outFeatures * rank }, (_, at) => {
      const [i, k] = [Math.floor(at / rank), at % rank];
      return svd.left[k]![i]! * roots[k]!;
    }),
  };
}

/** The r largest or smallest parts, in the order of falling values. */
function extremes(product: Rows, rank: number, most: number, mode: DataStart['mode']): Svd {
  if (mode === 'ipm') return dominantSvd(product, rank);
  const { values, left, right } = truncatedSvd(product, most);
  return {
    values: values.slice(most - rank),
    left: left.slice(most - rank),
    right: right.slice(most - rank),
  };
}

/** C'⁻¹·v of each v, by Cholesky's factor; C' is symmetric and positive definite. */
function solved(matrix: Rows, vectors: Rows): Float64Array[] {
  const size = matrix.length;
  const factor = matrix.map(() => new Float64Array(size)); // L of L·Lᵀ
  for (let j = 0; j < size; j += 1)
    for (let i = j; i < size; i += 1) {
      let rest = matrix[i]![j]!;
      for (let k = 0; k < j; k += 1) rest -= factor[i]![k]! * factor[j]![k]!;
      factor[i]![j] = i === j ? Math.sqrt(rest) : rest / factor[j]![j]!;
    }
  return vectors.map((vector) => {
    const x = Float64Array.from(vector);
    for (let i = 0; i < size; i += 1) {
      for (let k = 0; k < i; k += 1) x[i]! -= factor[i]![k]! * x[k]!;
      x[i]! /= factor[i]![i]!;
    }
    for (let i = size - 1; i >= 0; i -= 1) {
      for (let k = i + 1; k < size; k += 1) x[i]! -= factor[k]![i]! * x[k]!;
      x[i]! /= factor[i]![i]!;
    }
    return x;
  });
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
};
