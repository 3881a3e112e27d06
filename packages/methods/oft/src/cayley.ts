/**
 * Cayley's transform of skew-symmetric matrices, R = (I − Q)·(I + Q)⁻¹, or its series, both as PEFT
 * has them. The series of K terms is I + 2Q + 2Q² + … + 2Q^(K−2) + Q^(K−1), the inverse transform
 * of −Q cut off; R is orthogonal up to its last term.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { differentiable, freezeTensor, matrixInverse } from '@peft/ops';

/**
 * Q = U − Uᵀ with the vectors' elements above the diagonal of U, row by row. vectors `[B,
 * S(S−1)/2]` → `[B, S, S]`.
 */
export function skewSymmetric(vectors: Tensor2D, size: number): Tensor3D {
  const places = tf.tidy(() =>
    freezeTensor(tf.tensor2d(placesOf(size), [(size * (size - 1)) / 2, size * size])),
  );
  return tf.reshape(tf.matMul(vectors, places), [-1, size, size]);
}

/** +1 where an element stands, −1 where it is mirrored. */
function placesOf(size: number): Float32Array {
  const elements = (size * (size - 1)) / 2;
  const places = new Float32Array(elements * size * size);
  let element = 0;
  for (let row = 0; row < size; row += 1) {
    for (let column = row + 1; column < size; column += 1) {
      places[element * size * size + row * size + column] = 1;
      places[element * size * size + column * size + row] = -1;
      element += 1;
    }
  }
  return places;
}

/** @param skew `[B, S, S]`. @returns R by the series of `terms` terms. */
export function cayleySeries(skew: Tensor3D, terms: number): Tensor3D {
  const identity = tf.expandDims(tf.eye(skew.shape[1]), 0) as Tensor3D;
  if (terms <= 1) return tf.add(identity, tf.zerosLike(skew));
  let sum = tf.add<Tensor3D>(identity, tf.mul(skew, 2));
  if (terms === 2) return sum;
  let power = tf.matMul(skew, skew);
  sum = tf.add(sum, tf.mul(power, 2));
  for (let term = 3; term < terms - 1; term += 1) {
    power = tf.matMul(power, skew);
    sum = tf.add(sum, tf.mul(power, 2));
  }
  return tf.add(sum, tf.matMul(power, skew));
}

/** @param skew `[B, S, S]`. @returns R by the inverse. Gradient: dQ = −(I + R)ᵀ·dR·((I + Q)⁻¹)ᵀ. */
export function cayleyExact(skew: Tensor3D): Tensor3D {
  return differentiable<'skew', Tensor3D>(
    { skew },
    (save) => {
      const identity = tf.expandDims(tf.eye(skew.shape[1]), 0) as Tensor3D;
      const inverse = matrixInverse(tf.add<Tensor3D>(identity, skew));
      const rotation = tf.matMul(tf.sub<Tensor3D>(identity, skew), inverse);
      save([inverse, rotation]);
      return rotation;
    },
    ({ dy, saved }) => {
      const [inverse, rotation] = saved as [Tensor3D, Tensor3D];
      const identity = tf.expandDims(tf.eye(skew.shape[1]), 0);
      return {
        skew: tf.neg(
          tf.matMul(
            tf.matMul(tf.add<Tensor3D>(identity, rotation), dy as Tensor3D, true, false),
            inverse,
            false,
            true,
          ),
        ) as Tensor,
      };
    },
  );
}
