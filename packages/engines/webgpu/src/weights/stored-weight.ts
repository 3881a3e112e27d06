/** A frozen weight's bytes on the device, in as many buffers as one can be bound at a time. */
import type { NestedAbsmax } from '@peft/ops';
import type { Block, BufferPool } from '../gpu/buffer-pool.js';

export type StoredFormat = 'f32' | 'f16' | 'bf16' | 'int8' | 'nf4' | 'fp4';

/** Rows `firstRow` … `firstRow + rows − 1` of the stored matrix. */
export interface WeightChunk {
  readonly firstRow: number;
  readonly rows: number;
  readonly block: Block;
}

/** The scales of a quantised weight. */
export type WeightScales =
  | {
      readonly kind: 'plain';
      /** Of rows (int8) or blocks. */ readonly absmax: Block;
      readonly count: number;
    }
  | {
      readonly kind: 'nested';
      readonly codes: Block;
      readonly map: Block; // [256]
      readonly maxima: Block;
      readonly blockSize: number;
      readonly offset: number;
      /** Of blocks. */
      readonly count: number;
    };

export interface StoredWeight {
  readonly format: StoredFormat;
  /** Of the stored matrix. */
  readonly rows: number;
  readonly columns: number;
  /** The stored matrix is `[in, out]`. */
  readonly transposed: boolean;
  readonly chunks: readonly WeightChunk[];
  /** Elements of a block of `nf4` and `fp4`, else 1. */
  readonly blockSize: number;
  readonly scales?: WeightScales;
  readonly byteLength: number;
}

const BITS = Object.freeze({ f32: 32, f16: 16, bf16: 16, int8: 8, nf4: 4, fp4: 4 });

/** Bytes of so many elements. */
export const elementBytes = (format: StoredFormat, elements: number): number =>
  Math.ceil((elements * BITS[format]) / 8);

/**
 * Rows of each chunk: as many as fit, and so many that a chunk begins with a whole word and block.
 */
export function chunkRows(
  format: StoredFormat,
  columns: number,
  blockSize: number,
  largestBytes: number,
): number {
  const unit = Math.max(blockSize, 32 / BITS[format]);
  const step = unit / greatestDivisor(unit, columns);
  const fitting = Math.floor((largestBytes * 8) / BITS[format] / columns);
  return Math.max(step, Math.floor(fitting / step) * step);
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

export function freeStored(pool: BufferPool, { chunks, scales }: StoredWeight): void {
  for (const { block } of chunks) pool.give(block);
  if (scales?.kind === 'plain') pool.give(scales.absmax);
  if (scales?.kind === 'nested')
    for (const block of [scales.codes, scales.map, scales.maxima]) pool.give(block);
}

/** Bytes of scales, as they are kept. */
export const scaleBytes = (absmax: Float32Array | NestedAbsmax): number =>
  absmax instanceof Float32Array
    ? absmax.byteLength
    : absmax.codes.byteLength + absmax.map.byteLength + absmax.nestedAbsmax.byteLength + 4;
