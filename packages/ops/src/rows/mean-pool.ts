/**
 * Mean over each sequence: y_b = (1/T_b)·Σ_{n in b} x_n; dx_n = dy_b/T_b. x `[N, D]`, y `[B, D]`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { checkOffsets } from '../positions/offsets.js';
import { product } from '../products/product.js';

/**
 * @param offsets `[B+1]`.
 * @returns `[B, D]`, owned by the enclosing scope.
 * @throws PEFT_OFFSETS_INVALID
 */
export function meanPool(x: Tensor2D, offsets: Int32Array): Tensor2D {
  checkOffsets('meanPool', offsets, x.shape[0]);
  return differentiable<'x', Tensor2D>(
    { x },
    () => product(membership(offsets), x),
    ({ dy }) => ({ x: product(membership(offsets), dy as Tensor2D, true, false) }),
  );
}

/** `[B, N]`: 1/T_b where row n is in sequence b. */
function membership(offsets: Int32Array): Tensor2D {
  const rows = offsets.at(-1)!;
  const values = new Float32Array((offsets.length - 1) * rows);
  for (let b = 0; b + 1 < offsets.length; b += 1)
    values.fill(
      1 / (offsets[b + 1]! - offsets[b]!),
      b * rows + offsets[b]!,
      b * rows + offsets[b + 1]!,
    );
  return tf.tensor2d(values, [offsets.length - 1, rows]);
}
