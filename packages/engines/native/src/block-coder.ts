/** Blocks of GGUF files, by the addon. */
import type { BlockCoder } from '@peft/ops';
import { BLOCK_TYPES, type NativeBlockType } from './binding/blocks.js';
import type { NativeBinding } from './binding/native-binding.js';

/** Values and bytes of a block. */
const LAYOUTS: Readonly<Record<NativeBlockType, readonly [values: number, bytes: number]>> = {
  Q8_0: [32, 34],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
};

const READ_ONLY: readonly string[] = ['Q2_K', 'Q3_K'];

export const isBlockType = (type: string): type is NativeBlockType =>
  (BLOCK_TYPES as readonly string[]).includes(type);

/** Reads and writes blocks on all threads; the bytes depend neither on them nor on the processor. */
export const blockCoder = (binding: NativeBinding): BlockCoder =>
  Object.freeze<BlockCoder>({
    encode(type, values) {
      if (!isBlockType(type) || READ_ONLY.includes(type)) return undefined;
      const [size, blockBytes] = LAYOUTS[type];
      const blocks = values.length / size;
      const bytes = new Uint8Array(blocks * blockBytes);
      binding.encodeBlocks(type, values, bytes, blocks);
      return bytes;
    },
    decode(type, bytes) {
      if (!isBlockType(type)) return undefined;
      const [size, blockBytes] = LAYOUTS[type];
      const blocks = bytes.length / blockBytes;
      const values = new Float32Array(blocks * size);
      binding.decodeBlocks(type, bytes, values, blocks);
      return values;
    },
  });
