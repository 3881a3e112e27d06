/**
 * Integer codes whose groups along a row share a scale and a zero point, in whatever order a form
 * packs them: w_rk = (code_rk − zero_rg)·scale_rg, g the group of column k.
 */
import type { QuantizedParts, TensorSource } from '@peft/ops';
import { decodedSource } from '../decoded-source.js';
import type { QuantizedSource, QuantizedWeight } from '../quantized-form.js';

/** Some rows of a weight. */
export interface CodedRows {
  /** `[rows, columns]` */
  readonly codes: Uint8Array | Int8Array;
  /** `[rows, groups]` */
  readonly scales: Float32Array;
  /** `[rows, groups]`; absent: 0 everywhere. */
  readonly zeros: Uint8Array | Int16Array | undefined;
}

export interface GroupedCodes {
  readonly name: string;
  /** `[out, in]` */
  readonly shape: readonly [number, number];
  readonly bits: number;
  /** The zero point is the middle of the codes, everywhere. */
  readonly isSymmetric: boolean;
  /** Of a row. */
  readonly groups: number;
  /** Group of each column, where they do not follow each other in equal runs. */
  readonly groupOfColumn: Int32Array | undefined;
  /** Type of the scales, which the values have too. */
  readonly dtype: 'F16' | 'BF16' | 'F32';
  /** Bytes of all stored parts. */
  readonly byteLength: number;
  read(firstRow: number, rows: number): CodedRows;
}

/** Blocks that engines hold: 32, 64, … 4096 values. */
const [SMALLEST_BLOCK, LARGEST_BLOCK] = [32, 4096];

/** The weight decoded, and packed where an engine can hold it so. */
export function groupedWeight(weight: GroupedCodes): QuantizedWeight {
  const { name, shape, dtype, bits } = weight;
  return {
    dense: decodedSource({ name, shape, dtype, decode: decodeOf(weight) }),
    packed: bits === 8 ? packedRows(weight) : packedBlocks(weight),
  };
}

/** float32 scales would only add bits that the codes do not have. */
export const decodedDtype = ({ dtype }: TensorSource): 'F16' | 'BF16' =>
  dtype === 'F16' ? 'F16' : 'BF16';

function decodeOf({ shape, groups, groupOfColumn, read }: GroupedCodes) {
  const columns = shape[1];
  const size = columns / groups;
  const groupOf =
    groupOfColumn ?? Int32Array.from({ length: columns }, (_, k) => Math.floor(k / size));
  return (first: number, count: number): Float32Array => {
    const { codes, scales, zeros } = read(first, count);
    const values = new Float32Array(count * columns);
    for (let row = 0; row < count; row += 1)
      for (let k = 0; k < columns; k += 1) {
        const group = row * groups + groupOf[k]!;
        const zero = zeros ? zeros[group]! : 0;
        values[row * columns + k] = (codes[row * columns + k]! - zero) * scales[group]!;
      }
    return values;
  };
}

/** In 4 bits, where groups are runs of whole blocks. */
function packedBlocks(weight: GroupedCodes): QuantizedSource | undefined {
  const { name, shape, bits, groups, groupOfColumn, byteLength, read } = weight;
  const [rows, columns] = shape;
  const size = columns / groups;
  const blockSize = blockOf(size);
  if (bits !== 4 || groupOfColumn || blockSize < SMALLEST_BLOCK) return undefined;
  return {
    name,
    format: 'int4',
    shape,
    byteLength,
    read(): QuantizedParts {
      const { codes, scales, zeros } = read(0, rows);
      const packed = new Uint8Array(codes.length / 2);
      for (let i = 0; i < packed.length; i += 1)
        packed[i] = (codes[2 * i]! << 4) | codes[2 * i + 1]!;
      const repeats = size / blockSize;
      const blocks = scales.length * repeats;
      const groupOf = (block: number) => Math.floor(block / repeats);
      return {
        name,
        format: 'int4',
        shape,
        packed,
        absmax: Float32Array.from({ length: blocks }, (_, block) => scales[groupOf(block)]!),
        zeros: Uint8Array.from({ length: blocks }, (_, block) => zeros?.[groupOf(block)] ?? 0),
        blockSize,
      };
    },
  };
}

/** In 8 bits, where a row has one scale and no zero point. */
function packedRows(weight: GroupedCodes): QuantizedSource | undefined {
  const { name, shape, groups, isSymmetric, byteLength, read } = weight;
  if (groups !== 1 || !isSymmetric) return undefined;
  return {
    name,
    format: 'int8',
    shape,
    byteLength,
    read(): QuantizedParts {
      const { codes, scales, zeros } = read(0, shape[0]);
      const signed = Int8Array.from(codes, (code) => code - (zeros?.[0] ?? 0));
      const absmax = scales.map((scale) => scale * 127);
      return { name, format: 'int8', shape, packed: new Uint8Array(signed.buffer), absmax };
    },
  };
}

/** The largest power of two that divides the size, at most 4096. */
export const blockOf = (size: number): number =>
  Number.isInteger(size) && size > 0 ? Math.min(size & -size, LARGEST_BLOCK) : 0;
