/**
 * The second form of an elementwise rule: its formula in tfjs ops over flat tensors, for state that
 * lies on a device (`deviceStateStore`).
 *
 * It is also the slow obvious twin of the loop over arrays; a test holds the two together.
 * Intermediate values are float32 here and float64 there, so the bytes differ.
 */
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';
import type { UpdateContext } from './update-context.js';

/** An optimiser's formula in tfjs operations on `[n]` elements, for state on a device. */
export interface TensorRule<Name extends string = string> {
  /** The formula's numbers for one parameter, computed in float64 and rounded to float32 once. */
  coefficients(context: UpdateContext): Readonly<Record<Name, number>>;
  /**
   * New values and state of n elements, of one parameter or of several side by side. It disposes
   * nothing (it runs in a `tf.tidy`) and returns new tensors, in the order of `slots`.
   * @param values float32 [n]
   * @param gradient float32 [n], the gradient scale multiplied in
   * @param slots float32 [n] each
   * @param coefficients a scalar each, or [n] where the parameters' numbers differ: both broadcast
   */
  update(
    values: Tensor1D,
    gradient: Tensor1D,
    slots: readonly Tensor1D[],
    coefficients: Readonly<Record<Name, Tensor>>,
  ): { readonly values: Tensor1D; readonly slots: readonly Tensor1D[] };
}
