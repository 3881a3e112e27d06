/**
 * A learned gate per sequence (Mao et al. 2022, UniPELT): g_b = (1/T_b)·Σ_{n in b} σ(W·x_n + c),
 * and its spread over the tokens. x `[N, D]`, W `[G, D]`, c `[G]`, g `[B, G]`.
 */
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { activate } from '../activations/activation.js';
import { gatherRows } from './gather-rows.js';
import { linear } from '../products/linear.js';
import { meanPool } from './mean-pool.js';

/**
 * @param offsets `[B+1]`.
 * @returns `[B, G]`, owned by the enclosing scope.
 * @throws PEFT_OFFSETS_INVALID
 */
export const sequenceGate = (
  x: Tensor2D,
  weight: Tensor2D,
  bias: Tensor1D,
  offsets: Int32Array,
): Tensor2D => meanPool(activate('sigmoid', linear(x, weight, bias)), offsets);

/** Row b for every token of sequence b: `[B, W]` → `[N, W]`. */
export const spreadOverTokens = (perSequence: Tensor2D, offsets: Int32Array): Tensor2D =>
  gatherRows(perSequence, sequencesOfRows(offsets));

/** Number of the sequence of each row, `[N]`. */
export function sequencesOfRows(offsets: Int32Array): Int32Array {
  const sequences = new Int32Array(offsets.at(-1)!);
  for (let b = 1; b < offsets.length; b += 1) sequences.fill(b - 1, offsets[b - 1], offsets[b]);
  return sequences;
}
