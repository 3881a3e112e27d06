/**
 * Embedding: y[n] = W[ids[n]] with W `[V, D]`, y `[N, D]`. A trainable W has dW[ids[n]] += dy[n].
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import { differentiable } from '../tape/differentiable.js';
import { gatherRows } from './gather-rows.js';
import { isFrozenWeight, type Weight } from '../products/linear.js';

/**
 * @param ids `[N]`, each in [0, V). @throws PEFT_TOKEN_ID_RANGE for an id outside.
 * @returns `[N, D]`, owned by the enclosing scope; frozen when the weight is.
 */
export function embed(weight: Weight, ids: Int32Array): Tensor2D {
  if (!isFrozenWeight(weight)) return gatherRows(weight, ids);
  return differentiable<never, Tensor2D>(
    {},
    () => weight.engine.gather(weight, ids),
    () => ({}),
  );
}
