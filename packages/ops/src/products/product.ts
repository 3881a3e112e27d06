/**
 * Products of matrices, either factor transposed: y = op(a)·op(b), one or a batch of them. Not
 * differentiable themselves.
 *
 * tfjs 4.22's wasm backend multiplies two plain matrices with XNNPACK and all else with a loop ten
 * times slower (3.3 against 40 GFLOP/s on one Zen 4 core). So there a transpose is made first, and
 * a batch of products that are not small is taken apart.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';

/**
 * From so many multiplications on, a product of its own is worth the calls that cut it out of a
 * batch.
 */
const WORTH_A_CALL = 64 * 64 * 64;

/** @returns `[rows of op(a), columns of op(b)]`, owned by the enclosing scope. */
export function product(
  a: Tensor2D,
  b: Tensor2D,
  transposeA = false,
  transposeB = false,
): Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(a, b, transposeA, transposeB);
  return tf.tidy(() =>
    tf.matMul(transposeA ? tf.transpose(a) : a, transposeB ? tf.transpose(b) : b),
  );
}

/**
 * @param a, b as many matrices each.
 * @returns `[batch, rows of op(a), columns of op(b)]`, owned by the enclosing scope.
 */
export function batchedProduct(
  a: Tensor3D,
  b: Tensor3D,
  transposeA = false,
  transposeB = false,
): Tensor3D {
  const [batch, first, second] = a.shape;
  const columns = b.shape[transposeB ? 1 : 2];
  if (tf.getBackend() !== 'wasm' || first * second * columns < WORTH_A_CALL)
    return tf.matMul(a, b, transposeA, transposeB);
  return tf.tidy(() => {
    const plain = (x: Tensor3D, transposed: boolean) =>
      tf.unstack(transposed ? tf.transpose(x, [0, 2, 1]) : x) as Tensor2D[];
    const [as, bs] = [plain(a, transposeA), plain(b, transposeB)];
    if (batch === 1) return tf.expandDims(tf.matMul(as[0]!, bs[0]!), 0);
    return tf.stack(as.map((matrix, i) => tf.matMul(matrix, bs[i]!))) as Tensor3D;
  });
}
