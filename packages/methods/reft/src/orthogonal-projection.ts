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
import { product } from '@peft/ops';

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
  let before: readonly number[] | undefined;
  context.onStep(() => before && setDiagonal(original.value, before));
  return () => {
    const matrix = original.value;
    before = diagonalOf(matrix);
    const columns = tf.matMul(
      base.value,
      scaledHouseholder(tf.transpose(matrix) as Tensor2D, before.map(Math.trunc)),
    );
    return tf.transpose(columns) as Tensor2D;
  };
}

/** Q `[D, r]` of a matrix `[D, r]`, its column i times `signs[i]`. */
export function scaledHouseholder(matrix: Tensor2D, signs: readonly number[]): Tensor2D {
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
  return tf.mul(result, tf.tensor2d([...signs], [1, rank]));
}

function diagonalOf(matrix: Tensor2D): number[] {
  const values = matrix.dataSync(); // r rows, read in each pass
  return Array.from({ length: matrix.shape[0] }, (_, i) => values[i * matrix.shape[1] + i]!);
}

function setDiagonal(matrix: Variable, diagonal: readonly number[]): void {
  const values = Float32Array.from(matrix.dataSync());
  diagonal.forEach((value, i) => (values[i * matrix.shape[1]! + i] = value));
  tf.tidy(() => matrix.assign(tf.tensor(values, matrix.shape)));
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
