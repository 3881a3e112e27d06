/**
 * aLoRA: the low-rank path is active from the invocation's first token on, so that what stands in
 * front of it has the base's keys and values. Greenewald et al. 2025, "Activated LoRA: Fine-tuned
 * LLMs for Intrinsics":
 *
 *   y_n = base(x)_n + [n ≥ n₀]·s·B·(A·x_n)     n₀ where the sequence's last invocation begins, ∞ for none
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { LinearAttachment } from '@peft/core';
import { lowRank, type LoraMatrices } from './lora-linear.js';

/** @param invocation ids of the tokens that call the adapter */
export function activatedLora(
  matrices: LoraMatrices,
  dropout: number,
  invocation: readonly number[],
): LinearAttachment {
  return {
    forward(x, base, call) {
      const { inputIds, offsets } = call.tokens(x.shape[0]);
      const mask = new Float32Array(x.shape[0]);
      for (let b = 0; b + 1 < offsets.length; b += 1) {
        const [start, end] = [offsets[b]!, offsets[b + 1]!];
        const first = lastBegin(inputIds.subarray(start, end), invocation);
        if (first !== -1) mask.fill(1, start + first, end);
      }
      const added = lowRank(call.dropout(x, dropout), matrices);
      return tf.add(base(x), tf.mul<Tensor2D>(added, tf.tensor2d(mask, [mask.length, 1])));
    },
    readsSequences: true,
    readsWholeBatch: true,
    rescale: (factor) => void (matrices.scaling *= factor),
  };
}

/** Where the last occurrence begins, −1 for none. */
function lastBegin(ids: Int32Array, wanted: readonly number[]): number {
  for (let at = ids.length - wanted.length; at >= 0; at -= 1)
    if (wanted.every((id, k) => ids[at + k] === id)) return at;
  return -1;
}
