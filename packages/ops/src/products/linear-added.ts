/**
 * An affine map with a thin product beside it, a low-rank adapter's, in one: y = x·Wᵀ + b + n·Bᵀ with n =
 * scale·x·Aᵀ `[N, r]`, Hu et al. 2021, eq. 3. dx = dy·W + dn·A and dA = dnᵀ·x with dn = scale·dy·B, dB =
 * dyᵀ·n, db = Σ_n dy.
 *
 * An engine with `linearAdded` adds what the adapter makes while the sums with W are still in the
 * cache. Elsewhere, and for a weight that trains, one product runs after the other.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { add } from '../activations/add.js';
import { differentiable } from '../tape/differentiable.js';
import { sumRows } from '../rows/sum-rows.js';
import type { AddedProduct } from '../weights/engine.js';
import { isFrozenWeight, linear, type Weight } from './linear.js';

/**
 * @param x `[N, in]`. @param weight `[out, in]`. @param bias `[out]`.
 * @returns `[N, out]`, owned by the enclosing scope.
 */
export function linearAdded(
  x: Tensor2D,
  weight: Weight,
  bias: Tensor1D | undefined,
  { a, b, scale }: AddedProduct,
): Tensor2D {
  if (!isFrozenWeight(weight) || !weight.engine.linearAdded)
    return add(linear(x, weight, bias), linear(tf.mul<Tensor2D>(linear(x, a), scale), b));
  const { engine } = weight;
  return differentiable<'x' | 'a' | 'b' | 'bias', Tensor2D>(
    { x, a, b, bias },
    (save, needs) => {
      const { y, narrow } = engine.linearAdded!(x, weight, bias, { a, b, scale });
      if (needs.x || needs.a || needs.b)
        save([a, b, ...(needs.b ? [narrow] : []), ...(needs.a ? [x] : [])]);
      return y;
    },
    ({ dy, saved, needs }) => {
      const [ownA, ownB, ...rest] = saved as Tensor2D[];
      const found =
        ownA && ownB
          ? engine.linearAddedGradient!(
              dy as Tensor2D,
              weight,
              { a: ownA, b: ownB, scale },
              {
                withX: needs.x,
                narrow: needs.b ? rest[0] : undefined,
                x: needs.a ? rest.at(-1) : undefined,
              },
            )
          : {};
      return { ...found, bias: needs.bias ? sumRows(dy) : undefined };
    },
  );
}
