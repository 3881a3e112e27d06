/**
 * Integer codes whose groups along a row share a scale and a zero point, in whatever order a form
 * packs them: w_rk = (code_rk − zero_rg)·scale_rg, g the group of column k.
 */
import type { QuantizedParts, TensorSource } from '@peft/ops';
import { encodeValues } from '../../tensor-values.js';
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
  /** The same, of four bits, two a byte and the first one in its high half. */
  nibbles?(firstRow: number, count: number): Uint8Array;
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

/** Looks stored values up: those that a code can be in a group are rounded once. */
function decoder({ shape, bits, dtype, groups, groupOfColumn, open }: GroupedCodes) {
  const columns = shape[1];
  const size = columns / groups;
  const levels = 2 ** bits;
  const placeOf = Int32Array.from(
    { length: columns },
    (_, k) => levels * (groupOfColumn?.[k] ?? Math.floor(k / size)),
  );
  const { scales, zeros, codes } = open();
  return (first: number, count: number): Uint8Array => {
    const own = codes(first, count);
    const table = new Float32Array(count * groups * levels);
    for (let group = 0; group < count * groups; group += 1) {
      const [scale, zero] = [scales[first * groups + group]!, zeros[first * groups + group]!];
      for (let code = 0; code < levels; code += 1)
        table[group * levels + code] = (code - zero) * scale;
    }
    const stored = encodeValues(dtype, table);
    const words =
      dtype === 'F32' ? table : new Uint16Array(stored.buffer, stored.byteOffset, table.length);
    const values = dtype === 'F32' ? new Float32Array(own.length) : new Uint16Array(own.length);
    for (let row = 0; row < count; row += 1) {
      const [start, line] = [row * groups * levels, row * columns];
      for (let k = 0; k < columns; k += 1)
        values[line + k] = words[start + placeOf[k]! + own[line + k]!]!;
    }
    return new Uint8Array(values.buffer);
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
      const { codes, nibbles, scales, zeros } = open();
      const packed = new Uint8Array((rows * columns) / 2);
      eachRows(shape, (first, count) => {
        const start = (first * columns) / 2;
        if (nibbles) return packed.set(nibbles(first, count), start);
        const own = codes(first, count);
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
