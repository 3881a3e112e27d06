/** A matrix that is zero but at few places, as the update of a layer's weight. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '@peft/ops';

/**
 * The matrix `[rows, columns]` with `values [n]` at flat indices, row by row; dvalues are the
 * elements of its gradient there.
 *
 * @param flat int32 `[n]`, all different
 * @returns owned by the enclosing scope
 */
export function sparseMatrix(
  values: Tensor1D,
  flat: Tensor1D,
  [rows, columns]: readonly [number, number],
): Tensor2D {
  return differentiable<'values', Tensor2D>(
    { values },
    (save) => {
      save([flat]);
      const dense = tf.scatterND(tf.expandDims(flat, 1), values, [rows * columns]);
      return tf.reshape(dense, [rows, columns]);
    },
    ({ dy, saved: [places] }) => ({
      values: tf.gather(tf.reshape(dy, [-1]), places as Tensor1D),
    }),
  );
}
