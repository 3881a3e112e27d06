/**
 * A matrix R `[r, D]` with orthonormal rows, as torch's `parametrizations.orthogonal` makes one of
 * any matrix of that shape:
 *
 *   Rᵀ = B·Q, Q = the first r columns of H_1·…·H_r, each times the integer part of its diagonal entry,
 *   H_i = I − τ_i·v_i·v_iᵀ, v_i = e_i + what stands below the diagonal in column i, τ_i = 2/‖v_i‖²
 *
 * B `[D, D]` is orthogonal and fixed. At the start the matrix is −1 on its diagonal and 0
 * elsewhere, so that R is B's first r columns.
 *
 * Differs from torch in training: what a step does to the diagonal is taken back. Nothing can be
 * learned there, while weight decay would bring −1 to −0.999…, whose integer part is 0, and so wipe
 * out a row of R.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Variable } from '@tensorflow/tfjs';
import { kaimingUniform, type AttachContext, type Initializer } from '@peft/core';
import { differentiable, product, readValues } from '@peft/ops';

/** @param name of the module under a site. @returns R, owned by the enclosing scope. */
export function orthogonalProjection(
  name: string,
  rank: number,
  width: number,
  context: AttachContext,
): () => Tensor2D {
  const original = context.param(
    `${name}.parametrizations.weight.original`,
    [rank, width],
    minusIdentity,
  );
  const base = context.param(
    `${name}.parametrizations.weight.0.base`,
    [width, width],
    orthogonalStart(rank),
    { trainable: false },
  );
  let kept: Promise<Float32Array> | undefined;
  context.onStep(async () => {
    if (kept) setDiagonal(original.value, await kept);
  });
  return () => {
    const matrix = original.value;
    const diagonal = constant(() => diagonalOf(matrix));
    kept ??= readValues(diagonal); // once: no step changes it
    const signs = constant(() => tf.mul(tf.sign(diagonal), tf.floor(tf.abs(diagonal))));
    const columns = tf.matMul(
      base.value,
      scaledHouseholder(tf.transpose(matrix) as Tensor2D, signs),
    );
    return tf.transpose(columns) as Tensor2D;
  };
}

/** What no gradient is to reach. */
const constant = (make: () => Tensor2D): Tensor2D =>
  differentiable<never, Tensor2D>(
    {},
    () => tf.tidy(make),
    () => ({}),
  );

/** Q `[D, r]` of a matrix `[D, r]`, its column i times `signs[i]` `[1, r]`. */
export function scaledHouseholder(matrix: Tensor2D, signs: Tensor2D): Tensor2D {
  const [width, rank] = matrix.shape;
  const below = tf.mul<Tensor2D>(
    matrix,
    mask(width, rank, (row, column) => Number(row > column)),
  );
  const vectors = tf.add<Tensor2D>(
    below,
    mask(width, rank, (row, column) => Number(row === column)),
  );
  let result = mask(width, rank, (row, column) => Number(row === column));
  for (let i = rank - 1; i >= 0; i -= 1) {
    const v = tf.slice(vectors, [0, i], [width, 1]);
    const tau = tf.div(2, tf.sum(tf.square(v)));
    result = tf.sub<Tensor2D>(result, tf.mul(tau, tf.matMul(v, tf.matMul(v, result, true, false))));
  }
  return tf.mul(result, signs);
}

/** `[1, r]` of a matrix `[r, D]`. */
function diagonalOf(matrix: Tensor2D): Tensor2D {
  const [rank, width] = matrix.shape;
  const own = mask(rank, width, (row, column) => Number(row === column));
  return tf.reshape(tf.sum(tf.where(tf.cast(own, 'bool'), matrix, tf.zerosLike(matrix)), 1), [
    1,
    rank,
  ]);
}

function setDiagonal(matrix: Variable, diagonal: Float32Array): void {
  const [rank, width] = matrix.shape as [number, number];
  tf.tidy(() => {
    const own = mask(rank, width, (row, column) => Number(row === column));
    const values = mask(rank, width, (row, column) => (row === column ? diagonal[row]! : 0));
    matrix.assign(tf.where(tf.cast(own, 'bool'), values, matrix as unknown as Tensor2D));
  });
}

const mask = (
  rows: number,
  columns: number,
  value: (row: number, column: number) => number,
): Tensor2D =>
  tf.tensor2d(
    Float32Array.from({ length: rows * columns }, (_, i) =>
      value(Math.floor(i / columns), i % columns),
    ),
    [rows, columns],
  );

const minusIdentity: Initializer = ([rows, columns]) =>
  Float32Array.from({ length: rows! * columns! }, (_, i) =>
    Math.floor(i / columns!) === i % columns! ? -1 : 0,
  );

/**
 * An orthogonal `[D, D]` whose first r columns span those of a random `[D, r]`: the product of the
 * reflections of its QR decomposition.
 */
const orthogonalStart =
  (rank: number): Initializer =>
  ([width], key) =>
    tf.tidy(() => {
      const rows = kaimingUniform([rank, width!], key); // [r, D]: the columns to span
      const columns = Array.from({ length: rank }, (_, i) =>
        Float64Array.from(rows.subarray(i * width!, (i + 1) * width!)),
      );
      let base: Tensor2D = tf.eye(width!);
      columns.forEach((column, i) => {
        const v = column.map((value, row) => (row < i ? 0 : value));
        v[i]! += Math.sign(v[i]!) * norm(v) || norm(v);
        const unit = v.map((value) => value / (norm(v) || 1));
        for (const other of columns.slice(i)) {
          const along = 2 * other.reduce((sum, value, row) => sum + value * unit[row]!, 0);
          other.forEach((value, row) => (other[row] = value - along * unit[row]!));
        }
        const u = tf.tensor2d(Float32Array.from(unit), [width!, 1]);
        // base·(I − 2·u·uᵀ)
        base = tf.sub(base, tf.mul(product(product(base, u), u, false, true), 2));
      });
      return Float32Array.from(base.dataSync());
    });

const norm = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
