/**
 * Reading a tensor's numbers where they lie, without a copy: for values that are read once, and let
 * go at once.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';

/** What a tfjs backend has that copies what is read, since it uses the memory again. */
export interface HeldMemory {
  heldValues(tensor: TensorInfo): Float32Array;
}

/**
 * The float32 values of a tensor, row by row: where they lie, if the backend keeps them in host
 * memory. They must not be changed, and count until the tensor is disposed of.
 */
export function heldValues(tensor: Tensor): Float32Array {
  const backend = tf.backend() as Partial<HeldMemory>;
  return backend.heldValues?.(tensor) ?? tensor.dataSync<'float32'>();
}
