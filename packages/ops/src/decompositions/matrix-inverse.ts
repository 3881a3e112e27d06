/**
 * Inverses of a batch of small matrices by Gauss and Jordan; no tfjs backend inverts matrices. Outside
 * the tape.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor3D } from '@tensorflow/tfjs';
import { hasDeviceMemory } from '../tape/device-memory.js';

/**
 * On a device, where rows cannot be exchanged by what they hold, no pivot is chosen: that is for
 * triangular matrices, and for those whose symmetric part is positive definite (I + Q, Q
 * skew-symmetric).
 * @param matrices `[B, S, S]`. @returns `[B, S, S]`, owned by the enclosing scope.
 */
export const matrixInverse = (matrices: Tensor3D): Tensor3D =>
  hasDeviceMemory() ? inverseByOperations(matrices) : inverseInPlace(matrices);

/** In tfjs operations, a column at a time: M ← M − (m_k − e_k)·(row k / m_kk). */
export function inverseByOperations(matrices: Tensor3D): Tensor3D {
  const [count, size] = matrices.shape;
  return tf.tidy(() => {
    const identity = tf.tile(tf.expandDims(tf.eye(size), 0), [count, 1, 1]);
    let both: Tensor3D = tf.concat([matrices, identity], 2) as Tensor3D;
    for (let k = 0; k < size; k += 1) {
      const next = tf.tidy(() => {
        const row = tf.slice(both, [0, k, 0], [-1, 1, -1]);
        const lead = tf.div(row, tf.slice(both, [0, k, k], [-1, 1, 1]));
        const own = tf.slice(identity as Tensor3D, [0, 0, k], [-1, -1, 1]);
        const column = tf.sub(tf.slice(both, [0, 0, k], [-1, -1, 1]), own);
        return tf.sub<Tensor3D>(both, tf.matMul(column, lead));
      });
      both.dispose();
      both = next;
    }
    return tf.slice(both, [0, 0, size], [-1, -1, size]);
  });
}

/** With the largest pivot, in float64, in JavaScript. */
function inverseInPlace(matrices: Tensor3D): Tensor3D {
  const [count, size] = matrices.shape;
  const values = matrices.dataSync();
  const out = new Float32Array(values.length);
  for (let block = 0; block < count; block += 1) {
    const rows = Array.from({ length: size }, (_, i) =>
      Float64Array.from({ length: 2 * size }, (_element, j) =>
        j < size ? values[(block * size + i) * size + j]! : Number(j - size === i),
      ),
    );
    for (let column = 0; column < size; column += 1) {
      let pivot = column;
      for (let i = column + 1; i < size; i += 1)
        if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
      [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
      const lead = rows[column]!;
      const scale = lead[column]!;
      for (let j = 0; j < 2 * size; j += 1) lead[j]! /= scale;
      for (let i = 0; i < size; i += 1) {
        const factor = rows[i]![column]!;
        if (i === column || factor === 0) continue;
        const row = rows[i]!;
        for (let j = 0; j < 2 * size; j += 1) row[j]! -= factor * lead[j]!;
      }
    }
    for (let i = 0; i < size; i += 1)
      for (let j = 0; j < size; j += 1) out[(block * size + i) * size + j] = rows[i]![size + j]!;
  }
  return tf.tensor3d(out, [count, size, size]);
}
