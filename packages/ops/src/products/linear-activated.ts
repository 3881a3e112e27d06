/**
 * An affine map and its activation in one: y = f(z), z = x·Wᵀ + b, with dz = dy ⊙ f′(z), dx = dz·W,
 * db = Σ_n dz.
 *
 * An engine with `linearActivated` makes y while z is still in the cache, and keeps z only where a
 * gradient will read it. Elsewhere, and for a weight that trains, the product and the activation
 * run one after the other.
 */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { activate, activationGradient } from '../activations/activation.js';
import { differentiable } from '../tape/differentiable.js';
import type { ActivationName } from '../tape/kernels.js';
import { isFrozenWeight, linear, type Weight } from './linear.js';
import { sumRows } from '../rows/sum-rows.js';

/**
 * @param x `[N, in]`. @param weight `[out, in]`. @param bias `[out]`.
 * @returns `[N, out]`, owned by the enclosing scope.
 */
export function linearActivated(
  kind: ActivationName,
  x: Tensor2D,
  weight: Weight,
  bias?: Tensor1D,
): Tensor2D {
  if (!isFrozenWeight(weight) || !weight.engine.linearActivated)
    return activate(kind, linear(x, weight, bias));
  const { engine } = weight;
  return differentiable<'x' | 'bias', Tensor2D>(
    { x, bias },
    (save, needs) => {
      const { y, sums } = engine.linearActivated!(x, weight, bias, kind, needs.x || needs.bias);
      if (sums) save([sums]);
      return y;
    },
    ({ dy, saved: [sums], needs }) => {
      const dsums = activationGradient(kind, sums as Tensor, dy) as Tensor2D;
      return {
        x: needs.x ? engine.linearInputGradient(dsums, weight) : undefined,
        bias: needs.bias ? sumRows(dsums) : undefined,
      };
    },
  );
}
