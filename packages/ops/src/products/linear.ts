/**
 * Affine map: y = x·Wᵀ + b with x `[N, in]`, W `[out, in]`, b `[out]`, y `[N, out]`.
 *
 * A frozen W has no gradient and nothing is saved for it: dx = dy·W, db = Σ_n dy.
 * A trainable W (a tensor) also has dW = dyᵀ·x.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import type { FrozenWeight } from '../weights/engine.js';
import { product } from './product.js';
import { sumRows } from '../rows/sum-rows.js';

/** A base weight in an engine's hands, or a tensor (trainable unless marked frozen). */
export type Weight = FrozenWeight | Tensor2D;

/** Whether a weight is an engine's own rather than a tensor. */
export const isFrozenWeight = (weight: Weight): weight is FrozenWeight =>
  'engine' in weight && 'format' in weight;

/**
 * @param x `[N, in]`. @param weight `[out, in]`. @param bias `[out]`.
 * @returns `[N, out]`, owned by the enclosing scope.
 */
export function linear(x: Tensor2D, weight: Weight, bias?: Tensor1D): Tensor2D {
  if (isFrozenWeight(weight)) {
    const { engine } = weight;
    return differentiable<'x' | 'bias', Tensor2D>(
      { x, bias },
      () => engine.linear(x, weight, bias),
      ({ dy, needs }) => ({
        x: needs.x ? engine.linearInputGradient(dy as Tensor2D, weight) : undefined,
        bias: needs.bias ? sumRows(dy) : undefined,
      }),
    );
  }
  return differentiable<'x' | 'weight' | 'bias', Tensor2D>(
    { x, weight, bias },
    (save, needs) => {
      save([...(needs.x ? [weight] : []), ...(needs.weight ? [x] : [])]);
      const y = product(x, weight, false, true);
      return bias ? tf.add(y, bias) : y;
    },
    ({ dy, saved, needs }) => {
      const [first, second] = saved as Tensor2D[];
      return {
        x: needs.x ? product(dy as Tensor2D, first!) : undefined,
        weight: needs.weight
          ? product(dy as Tensor2D, (needs.x ? second : first)!, true, false)
          : undefined,
        bias: needs.bias ? sumRows(dy) : undefined,
      };
    },
  );
}
