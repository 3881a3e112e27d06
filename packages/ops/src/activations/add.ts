/**
 * Sum of two tensors of one shape: y = a + b, dy for both.
 *
 * tfjs's `add` keeps both operands for its gradient, to see their shapes; here nothing is kept, so
 * that what a branch made can go as soon as it is added.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { differentiable } from '../tape/differentiable.js';

/**
 * @returns a tensor of the enclosing scope.
 * @throws PEFT_SHAPE_MISMATCH for operands of different shapes.
 */
export function add<T extends Tensor>(a: T, b: T): T {
  if (a.shape.length !== b.shape.length || a.shape.some((size, axis) => size !== b.shape[axis])) {
    throw new PeftError(
      'PEFT_SHAPE_MISMATCH',
      `add: the operands have the shapes [${a.shape.join(', ')}] and [${b.shape.join(', ')}].`,
      { hint: 'tf.add broadcasts' },
    );
  }
  return differentiable<'a' | 'b', T>(
    { a, b },
    () => tf.add(a, b),
    ({ dy, needs }) => ({ a: needs.a ? dy : undefined, b: needs.b ? dy : undefined }),
  );
}
