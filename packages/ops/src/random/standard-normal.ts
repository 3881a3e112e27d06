import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { freezeTensor } from '../weights/frozen-tensor.js';
import { randomNormal, type RandomKey } from './counter-random.js';

/** N(0, 1) of a stream, frozen; owned by the enclosing scope. */
export function standardNormal(shape: readonly [number, number], key: RandomKey): Tensor2D {
  const values = new Float32Array(shape[0] * shape[1]);
  for (let i = 0; i < values.length; i += 1) values[i] = randomNormal(key, i);
  return freezeTensor(tf.tensor2d(values, [...shape]));
}
