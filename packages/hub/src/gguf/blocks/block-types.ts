/** The types of tensors that are known, by the number that a file has for them. */
import type { BlockCoder } from '@peft/ops';
import type { BlockType } from './block-type.js';
import { BF16, F16, F32 } from './float-types.js';
import { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } from './k-blocks.js';
import { Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from './small-blocks.js';

const ALL = [F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K] as const;

/** By name, for instance `Q8_0`. */
export const BLOCK_TYPES = Object.freeze({
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
});

export const blockTypeById = (id: number): BlockType | undefined =>
  ALL.find((type) => type.id === id);

/**
 * The bytes of a tensor's values in a type.
 * @param values whole rows, `blockSize` dividing their length
 * @param coder makes the same bytes faster, of the types that it has
 */
export function encodeBlocks(
  type: BlockType,
  values: Float32Array,
  coder?: BlockCoder,
): Uint8Array {
  const made = coder?.encode(type.name, values);
  if (made) return made;
  const bytes = new Uint8Array((values.length / type.blockSize) * type.blockBytes);
  type.quantize!(values, bytes);
  return bytes;
}

/** The values in bytes of a type. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float32Array {
  const values = new Float32Array((bytes.length / type.blockBytes) * type.blockSize);
  type.dequantize(bytes, values);
  return values;
}
