/** Blocks of GGUF files: cpp/binding/blocks.cc. */

/** Types of blocks that the addon has; `Q2_K` and `Q3_K` are only read. */
export const BLOCK_TYPES = Object.freeze([
  'Q8_0',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q2_K',
  'Q3_K',
  'Q4_K',
  'Q5_K',
  'Q6_K',
] as const);

export type NativeBlockType = (typeof BLOCK_TYPES)[number];

/** Whole blocks, 32 values each or, of the K types, 256. */
export interface BlockFunctions {
  /** The bytes that `encodeBlocks` of @peft/hub has, bit for bit. */
  encodeBlocks(
    type: NativeBlockType,
    values: Float32Array,
    bytes: Uint8Array,
    blocks: number,
  ): void;
  /** The values that `decodeBlocks` of @peft/hub has, bit for bit. */
  decodeBlocks(
    type: NativeBlockType,
    bytes: Uint8Array,
    values: Float32Array,
    blocks: number,
  ): void;
}
