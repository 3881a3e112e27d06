/**
 * Q `[m, n]` of A = Q·R with m ≥ n, orthonormal columns, by Householder's reflections in float64;
 * signs as LAPACK has them (R's diagonal is opposite in sign to the column that it came from).
 *
 * Gradient: with M = −dQᵀ·Q and copyltu(M) = tril(M) + tril(M, −1)ᵀ,
 * dA = (dQ + Q·copyltu(M))·R⁻ᵀ. Walter and Lehmann 2018, "Algorithmic differentiation of linear
 * algebra functions".
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { differentiable, hasDeviceMemory, matrixInverse } from '@peft/ops';

/** @returns Q, owned by the enclosing scope. */
export function orthonormalColumns(matrix: Tensor2D): Tensor2D {
  const [rows, columns] = matrix.shape;
  return differentiable<'matrix', Tensor2D>(
    { matrix },
    (save) => {
      if (hasDeviceMemory()) {
        const [factor, inverse] = decomposeByOperations(matrix);
        save([factor, inverse]);
        return factor;
      }
      // a few columns, decomposed outside of the backend, which has no such thing
      const { q, inverseTransposed } = decompose(matrix.dataSync(), rows, columns);
      const factor = tf.tensor2d(q, [rows, columns]);
      save([factor, tf.tensor2d(inverseTransposed, [columns, columns])]);
      return factor;
    },
    ({ dy, saved }) => {
      const [q, inverseTransposed] = saved as [Tensor2D, Tensor2D];
      const m = tf.neg(tf.matMul(dy as Tensor2D, q, true)) as Tensor2D;
      const lower = tf.linalg.bandPart(m, -1, 0);
      const strict = tf.sub(lower, tf.linalg.bandPart(m, 0, 0));
      const symmetric = tf.add(lower, tf.transpose(strict)) as Tensor2D;
      return {
        matrix: tf.matMul(tf.add<Tensor2D>(dy, tf.matMul(q, symmetric)), inverseTransposed),
      };
    },
  );
}

/** Q and R⁻ᵀ in tfjs operations: reflectors as below, a column at a time. */
export function decomposeByOperations(matrix: Tensor2D): [Tensor2D, Tensor2D] {
  const [rows, columns] = matrix.shape;
  return tf.tidy(() => {
    let a = matrix;
    const reflectors = Array.from({ length: columns }, (_, k) => {
      const below = tf.tensor2d(
        Float32Array.from({ length: rows }, (_row, i) => Number(i >= k)),
        [rows, 1],
      );
      const first = tf.tensor2d(
        Float32Array.from({ length: rows }, (_row, i) => Number(i === k)),
        [rows, 1],
      );
      const own = tf.mul<Tensor2D>(tf.slice(a, [0, k], [-1, 1]), below);
      const lead = tf.sum(tf.mul(own, first));
      const sign = tf.where(tf.less(lead, 0), tf.scalar(-1), tf.scalar(1));
      const v = tf.add<Tensor2D>(own, tf.mul(first, tf.mul(sign, tf.norm(own))));
      const reflect = (x: Tensor2D): Tensor2D =>
        tf.sub(
          x,
          tf.mul(tf.matMul(v, tf.matMul(v, x, true)), tf.divNoNan(2, tf.sum(tf.square(v)))),
        );
      a = reflect(a);
      return reflect;
    });
    const start = tf.eye(rows, columns);
    const q = reflectors.reduceRight((x, reflect) => reflect(x), start);
    const r = tf.linalg.bandPart(tf.slice(a, [0, 0], [columns, -1]), 0, -1);
    const [inverse] = tf.unstack(matrixInverse(tf.expandDims(r, 0)));
    return [q, tf.transpose(inverse!)] as [Tensor2D, Tensor2D];
  });
}

/** Q, and R⁻ᵀ row by row. */
function decompose(
  values: ArrayLike<number>,
  rows: number,
  columns: number,
): { readonly q: Float32Array; readonly inverseTransposed: Float32Array } {
  const a = Array.from({ length: columns }, (_, j) =>
    Float64Array.from({ length: rows }, (_value, i) => values[i * columns + j]!),
  );
  const reflectors = a.map((_column, k) => {
    const v = a[k]!.map((value, i) => (i < k ? 0 : value));
    const norm = Math.hypot(...v);
    v[k]! += v[k]! < 0 ? -norm : norm;
    const square = dot(v, v);
    const unit = { v, square };
    for (let j = k; j < columns; j += 1) reflect(a[j]!, unit);
    return unit;
  });
  const q = a.map((_column, j) => {
    const column = new Float64Array(rows);
    column[j] = 1;
    for (const each of [...reflectors].reverse()) reflect(column, each);
    return column;
  });
  return {
    q: Float32Array.from(
      { length: rows * columns },
      (_, at) => q[at % columns]![(at / columns) | 0]!,
    ),
    inverseTransposed: inverseTransposedOf(a, columns),
  };
}

function reflect(
  column: Float64Array,
  { v, square }: { readonly v: Float64Array; readonly square: number },
): void {
  if (square === 0) return;
  const factor = (2 * dot(v, column)) / square;
  for (let i = 0; i < column.length; i += 1) column[i]! -= factor * v[i]!;
}

/** R⁻ᵀ of the upper triangle that the columns hold, by back substitution. */
function inverseTransposedOf(r: readonly Float64Array[], size: number): Float32Array {
  const out = new Float32Array(size * size);
  for (let j = 0; j < size; j += 1) {
    // column j of R⁻¹ is row j of R⁻ᵀ
    const x = new Float64Array(size);
    for (let i = j; i >= 0; i -= 1) {
      let sum = i === j ? 1 : 0;
      for (let k = i + 1; k <= j; k += 1) sum -= r[k]![i]! * x[k]!;
      x[i] = sum / r[i]![i]!;
    }
    out.set(x, j * size);
  }
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}
