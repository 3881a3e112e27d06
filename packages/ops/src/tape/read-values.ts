/**
 * Reading a tensor's numbers without waiting for them on the spot. On a backend whose memory is the
 * host's the promise is settled when it is made; a device copies what the tensor holds at the time
 * of the call.
 */
import * as tf from '@tensorflow/tfjs';
import type { DataTypeMap, Tensor } from '@tensorflow/tfjs';

/**
 * Begins to read a tensor, which may be disposed of as soon as the call has returned: a scope
 * (`tf.tidy`) can begin a reading and end before it.
 *
 * @returns its values, row by row, which the caller must not change
 */
export async function readValues<D extends 'float32' | 'int32' = 'float32'>(
  tensor: Tensor,
): Promise<DataTypeMap[D]> {
  const own = tf.keep(tf.clone(tensor)); // the same memory, in nobody's scope
  try {
    return await own.data<D>();
  } finally {
    own.dispose();
  }
}

/**
 * Runs `body` in a scope of its own and waits for what it reads. All readings have to begin before
 * the first of them is waited for: the scope ends there.
 *
 * @example
 *   const [sum] = await readInScope(() => readValues(tf.sum(x)));
 */
export async function readInScope<T>(body: () => T | Promise<T>): Promise<T> {
  // not the scope's result: tfjs looks for tensors in that, number by number
  let read!: T | Promise<T>;
  tf.tidy(() => {
    read = body();
  });
  return read;
}
