/**
 * Noise on embeddings while training (NEFTune, Jain et al. 2023, arXiv 2310.05914, algorithm 1):
 *
 *   y = x + u·α/√(T·D), u uniform in [−1, 1)
 *
 * for each of the T tokens of a sequence, x `[N, D]`. T is the sequence's own length; transformers
 * counts the padding of its batch, too. The gradient passes through.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { check } from '@peft/errors';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';
import { randomUniform, type RandomKey } from './counter-random.js';

/**
 * @param x packed rows of sequences. @param offsets `[B+1]`. @param alpha α, above 0.
 * @param key names the stream.
 * @param tokensInFront rows of another sequence that each one begins with, counted in T `[B]`.
 * @returns `[N, D]`, owned by the enclosing scope; frozen where x is.
 * @throws PEFT_CONFIG_INVALID for an α that is not above 0
 */
export function embeddingNoise(
  x: Tensor2D,
  offsets: Int32Array,
  alpha: number,
  key: RandomKey,
  tokensInFront?: Int32Array,
): Tensor2D {
  check.positive('embeddingNoise', 'alpha', alpha);
  const [rows, width] = x.shape;
  const noise = new Float32Array(rows * width);
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const [start, end] = [offsets[b]! * width, offsets[b + 1]! * width];
    const magnitude = alpha / Math.sqrt(end - start + (tokensInFront?.[b] ?? 0) * width);
    for (let i = start; i < end; i += 1) noise[i] = (2 * randomUniform(key, i) - 1) * magnitude;
  }
  const noisy = tf.add<Tensor2D>(x, freezeTensor(tf.tensor2d(noise, [rows, width])));
  return isFrozenTensor(x) ? freezeTensor(noisy) : noisy;
}
