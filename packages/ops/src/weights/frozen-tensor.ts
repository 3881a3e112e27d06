/**
 * Marks tensors that no gradient needs to reach, so that operations neither save for them nor
 * compute towards them.
 */
import type { Tensor } from '@tensorflow/tfjs';

const frozen = new WeakSet<Tensor>();

/** Marks `tensor` (a base model's vector, say) as one that never trains; returns it. */
export function freezeTensor<T extends Tensor>(tensor: T): T {
  frozen.add(tensor);
  return tensor;
}

/**
 * Whether a tensor was marked by {@link freezeTensor}, or computed by our operations from nothing
 * but such tensors.
 */
export function isFrozenTensor(tensor: Tensor): boolean {
  return frozen.has(tensor);
}
