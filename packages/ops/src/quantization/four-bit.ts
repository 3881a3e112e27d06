/**
 * 4-bit weights as bitsandbytes lays them out: w_i ≈ (book[code_i] − zero_b)·absmax_b, b =
 * ⌊i/blockSize⌋, over the elements in row order, two codes a byte, the even element in the high
 * nibble. An odd tail is padded with the code of 0. Only `int4` has zero points.
 */
import { check, PeftError } from '@peft/errors';
import { quantizeBlocks } from './block-quantizer.js';
import { codeBook, NF4, type FourBitFormat } from './code-books.js';

/** A 4-bit weight: two codes a byte, the first one in the upper half, and each block's scale. */
export interface FourBitWeight {
  /** ⌈n/2⌉ bytes. */
  readonly packed: Uint8Array;
  /** Largest magnitude of each block. */
  readonly absmax: Float32Array;
}

const ZERO_CODE = { nf4: 7, fp4: 0 } as const;

/** FP4's codes by ascending value, without the second zero. */
const FP4_ASCENDING = [11, 10, 13, 12, 15, 14, 9, 0, 1, 6, 7, 4, 5, 2, 3] as const;

/** @param blockSize a power of two from 32 to 4096. @throws PEFT_CONFIG_INVALID */
export function quantize4Bit(
  values: Float32Array,
  format: 'nf4' | 'fp4',
  blockSize: number,
): FourBitWeight {
  checkBlockSize(blockSize);
  const ascending = format === 'nf4' ? NF4 : FP4_ASCENDING.map((code) => codeBook('fp4')[code]!);
  const { places, absmax } = quantizeBlocks(values, blockSize, ascending);
  if (format === 'fp4')
    for (let i = 0; i < places.length; i += 1) places[i] = FP4_ASCENDING[places[i]!]!;
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  for (let i = 0; i < packed.length; i += 1)
    packed[i] = (places[2 * i]! << 4) | (places[2 * i + 1] ?? ZERO_CODE[format]);
  return { packed, absmax };
}

/**
 * Elements `first` … `first + count − 1`.
 * @param absmax of each block, already expanded.
 * @param zeros of each block of `int4`.
 */
export function dequantize4Bit(
  packed: Uint8Array,
  absmax: Float32Array,
  format: FourBitFormat,
  blockSize: number,
  count: number,
  first = 0,
  zeros?: Uint8Array,
): Float32Array {
  const book = Float32Array.from(codeBook(format));
  const values = new Float32Array(count);
  for (let n = 0; n < count;) {
    const block = Math.floor((first + n) / blockSize);
    const scale = absmax[block]!;
    const zero = zeros?.[block] ?? 0;
    const end = Math.min(count, (block + 1) * blockSize - first);
    for (; n < end; n += 1) {
      const i = first + n;
      const byte = packed[i >>> 1]!;
      values[n] = (book[i & 1 ? byte & 15 : byte >> 4]! - zero) * scale;
    }
  }
  return values;
}

/** @throws PEFT_CONFIG_INVALID */
export function checkBlockSize(blockSize: number): void {
  check.positiveInteger('quantization', 'blockSize', blockSize);
  if (blockSize < 32 || blockSize > 4096 || !Number.isInteger(Math.log2(blockSize))) {
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `quantization: blockSize must be 32, 64, 128, … 4096, got ${blockSize}.`,
    );
  }
}
