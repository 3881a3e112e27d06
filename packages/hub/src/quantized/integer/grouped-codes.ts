/**
 * Integer codes whose groups along a row share a scale and a zero point, in whatever order a form
 * packs them: w_rk = (code_rk − zero_rg)·scale_rg, g the group of column k.
 */
import type { QuantizedParts, TensorSource } from '@peft/ops';
import { decodedSource, entriesAtATime } from '../decoded-source.js';
import type { QuantizedSource, QuantizedWeight } from '../quantized-form.js';

/** A weight whose parts are read. */
export interface OpenCodes {
  /** `[rows, groups]` */
  readonly scales: Float32Array;
  /** `[rows, groups]` */
  readonly zeros: Uint8Array;
  /** `[count, columns]`, not negative. */
  codes(firstRow: number, count: number): Uint8Array;
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
  open(): OpenCodes;
}

/** Blocks that engines hold: 32, 64, … 4096 values. */
const [SMALLEST_BLOCK, LARGEST_BLOCK] = [32, 4096];

/** The weight decoded, and packed where an engine can hold it so. */
export function groupedWeight(weight: GroupedCodes): QuantizedWeight {
  const { name, shape, dtype, bits } = weight;
  return {
    dense: decodedSource({ name, shape, dtype, open: () => decoder(weight) }),
    packed: bits === 8 ? packedRows(weight) : packedBlocks(weight),
  };
}

/** float32 scales would only add bits that the codes do not have. */
export const decodedDtype = ({ dtype }: TensorSource): 'F16' | 'BF16' =>
  dtype === 'F16' ? 'F16' : 'BF16';

function decoder({ shape, groups, groupOfColumn, open }: GroupedCodes) {
  const columns = shape[1];
  const size = columns / groups;
  const groupOf =
    groupOfColumn ?? Int32Array.from({ length: columns }, (_, k) => Math.floor(k / size));
  const { scales, zeros, codes } = open();
  return (first: number, count: number): Float32Array => {
    const own = codes(first, count);
    const values = new Float32Array(count * columns);
    for (let row = 0; row < count; row += 1) {
      const [start, line] = [(first + row) * groups, row * columns];
      for (let k = 0; k < columns; k += 1) {
        const group = start + groupOf[k]!;
        values[line + k] = (own[line + k]! - zeros[group]!) * scales[group]!;
      }
    }
    return values;
  };
}

/** In 4 bits, where groups are runs of whole blocks. */
function packedBlocks(weight: GroupedCodes): QuantizedSource | undefined {
  const { name, shape, bits, groups, groupOfColumn, byteLength, open } = weight;
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
      const { codes, scales, zeros } = open();
      const packed = new Uint8Array((rows * columns) / 2);
      eachRows(shape, (first, count) => {
        const [own, start] = [codes(first, count), (first * columns) / 2];
        for (let i = 0; i < own.length; i += 2)
          packed[start + i / 2] = (own[i]! << 4) | own[i + 1]!;
      });
      const repeats = size / blockSize;
      const blocks = scales.length * repeats;
      const groupOf = (block: number) => Math.floor(block / repeats);
      return {
        name,
        format: 'int4',
        shape,
        packed,
        absmax: Float32Array.from({ length: blocks }, (_, block) => scales[groupOf(block)]!),
        zeros: Uint8Array.from({ length: blocks }, (_, block) => zeros[groupOf(block)]!),
        blockSize,
      };
    },
  };
}

/** In 8 bits, where a row has one scale and no zero point. */
function packedRows(weight: GroupedCodes): QuantizedSource | undefined {
  const { name, shape, groups, isSymmetric, byteLength, open } = weight;
  if (groups !== 1 || !isSymmetric) return undefined;
  return {
    name,
    format: 'int8',
    shape,
    byteLength,
    read(): QuantizedParts {
      const { codes, scales, zeros } = open();
      const packed = new Uint8Array(shape[0] * shape[1]);
      eachRows(shape, (first, count) => {
        const [own, start] = [codes(first, count), first * shape[1]];
        for (let i = 0; i < own.length; i += 1) packed[start + i] = own[i]! - zeros[0]!;
      });
      const absmax = scales.map((scale) => scale * 127);
      return { name, format: 'int8', shape, packed, absmax };
    },
  };
}

/** In as many rows at a time as are decoded at a time. */
function eachRows(
  [rows, columns]: readonly [number, number],
  visit: (first: number, count: number) => void,
): void {
  const most = entriesAtATime(columns);
  for (let first = 0; first < rows; first += most) visit(first, Math.min(most, rows - first));
}

/** The largest power of two that divides the size, at most 4096. */
export const blockOf = (size: number): number =>
  Number.isInteger(size) && size > 0 ? Math.min(size & -size, LARGEST_BLOCK) : 0;
