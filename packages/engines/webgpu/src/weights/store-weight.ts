/**
 * Puts a weight on the device: stored bytes as they are, a piece of the file at a time; other
 * formats converted piece by piece on the way.
 */
import { PeftError } from '@peft/errors';
import {
  checkBlockSize,
  decodeFloat32,
  encodeBfloat16,
  encodeFloat16,
  nestAbsmax,
  quantize4Bit,
  quantizedRows,
  quantizeInt8Rows,
  STORED_BYTES,
  type FreezeOptions,
  type NestedAbsmax,
  type QuantizedParts,
  type StoredDtype,
  type TensorSource,
} from '@peft/ops';
import type { WebgpuBackend } from '../backend/webgpu-backend.js';
import type { Block } from '../gpu/buffer-pool.js';
import {
  chunkRows,
  elementBytes,
  freeStored,
  scaleBytes,
  type StoredFormat,
  type StoredWeight,
  type WeightChunk,
  type WeightScales,
} from './stored-weight.js';
import { checkParts, matrixShape } from './check-parts.js';

/** Elements that are read, converted and uploaded at a time. */
const PIECE = 2 ** 20;
const AS_STORED: Partial<Record<StoredDtype, 'f32' | 'f16' | 'bf16'>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};

/** @throws PEFT_WEIGHT_SHAPE, PEFT_WEIGHT_FORMAT, PEFT_CONFIG_INVALID, PEFT_DEVICE_MEMORY */
export function storeSource(
  backend: WebgpuBackend,
  source: TensorSource,
  { format, transposed = false, blockSize = 64, doubleQuantization = false }: FreezeOptions,
  largestBytes: number,
): StoredWeight {
  const [first, second] = matrixShape(source.name, source.shape);
  const wanted = format ?? AS_STORED[source.dtype] ?? 'f32';
  if (wanted === 'f32' || wanted === 'f16' || wanted === 'bf16') {
    const isAsStored = AS_STORED[source.dtype] === wanted;
    return stored(backend, wanted, first, second, largestBytes, transposed, 1, (at, count) =>
      isAsStored ? bytesOf(source, at, count) : encode(floatsOf(source, at, count), wanted),
    );
  }
  if (wanted !== 'int8' && wanted !== 'nf4' && wanted !== 'fp4')
    throw new PeftError(
      'PEFT_WEIGHT_FORMAT',
      `webgpu: ${source.name} cannot be stored as ${JSON.stringify(wanted)}.`,
      { hint: 'formats are f32, f16, bf16, int8, nf4 and fp4' },
    );
  const [rows, columns] = transposed ? [second, first] : [first, second];
  // codes lie in the order of the logical rows, so a turned matrix is turned back as a whole
  const whole = transposed ? turned(floatsOf(source, 0, first * second), first, second) : undefined;
  const values = (at: number, count: number) =>
    whole ? whole.subarray(at, at + count) : floatsOf(source, at, count);
  if (wanted !== 'int8') checkBlockSize(blockSize);
  const absmax = new Float32Array(
    wanted === 'int8' ? rows : Math.ceil((rows * columns) / blockSize),
  );
  const codes = stored(
    backend,
    wanted,
    rows,
    columns,
    largestBytes,
    false,
    wanted === 'int8' ? 1 : blockSize,
    (at, count) => {
      const piece = values(at, count);
      const { packed, absmax: own } =
        wanted === 'int8'
          ? quantizeInt8Rows(piece, count / columns)
          : quantize4Bit(piece, wanted, blockSize);
      absmax.set(own, at / (wanted === 'int8' ? columns : blockSize));
      return packed;
    },
  );
  return withScales(
    backend,
    codes,
    doubleQuantization && wanted !== 'int8' ? nestAbsmax(absmax) : absmax,
  );
}

/**
 * `int4` and `mxfp4`, which only checkpoints have, become bfloat16.
 * @throws PEFT_QUANTIZED_PARTS when lengths and shape do not fit together
 */
export function storeParts(
  backend: WebgpuBackend,
  parts: QuantizedParts,
  largestBytes: number,
): StoredWeight {
  checkParts(parts);
  const { format, packed, absmax, blockSize = 64 } = parts;
  const [rows, columns] = matrixShape(parts.name, parts.shape);
  if (format === 'int4' || format === 'mxfp4')
    return stored(backend, 'bf16', rows, columns, largestBytes, false, 1, (at, count) =>
      encode(quantizedRows(parts, at / columns, count / columns), 'bf16'),
    );
  const codes = stored(
    backend,
    format,
    rows,
    columns,
    largestBytes,
    false,
    format === 'int8' ? 1 : blockSize,
    (at, count) => {
      const start = elementBytes(format, at);
      return packed.subarray(start, start + elementBytes(format, count));
    },
  );
  return withScales(backend, codes, absmax);
}

/**
 * The bytes of a matrix in chunks, uploaded piece by piece.
 * @param bytes of elements `at` … `at + count − 1`, in whole rows and blocks.
 */
function stored(
  backend: WebgpuBackend,
  format: StoredFormat,
  rows: number,
  columns: number,
  largestBytes: number,
  transposed: boolean,
  blockSize: number,
  bytes: (at: number, count: number) => Uint8Array,
): StoredWeight {
  const perChunk = Math.min(rows, chunkRows(format, columns, blockSize, largestBytes));
  // a piece is of whole rows, and begins with a whole word and block
  const perPiece = chunkRows(format, columns, blockSize, elementBytes(format, PIECE));
  const chunks: WeightChunk[] = [];
  const made: StoredWeight = {
    format,
    rows,
    columns,
    transposed,
    chunks,
    blockSize,
    byteLength: elementBytes(format, rows * columns),
  };
  try {
    for (let firstRow = 0; firstRow < rows; firstRow += perChunk) {
      const own = Math.min(perChunk, rows - firstRow);
      const block = backend.pool.take(elementBytes(format, own * columns), true);
      chunks.push({ firstRow, rows: own, block });
      for (let row = 0; row < own; row += perPiece) {
        const count = Math.min(perPiece, own - row) * columns;
        const piece = bytes((firstRow + row) * columns, count);
        backend.stream.upload(block, piece, elementBytes(format, row * columns));
      }
    }
    return made;
  } catch (error) {
    freeStored(backend.pool, made);
    throw error;
  }
}

function withScales(
  backend: WebgpuBackend,
  codes: StoredWeight,
  absmax: Float32Array | NestedAbsmax,
): StoredWeight {
  const taken: Block[] = [];
  const put = (values: Float32Array | Uint8Array): Block => {
    const block = backend.pool.take(values.byteLength, true);
    taken.push(block);
    backend.stream.upload(block, values);
    return block;
  };
  try {
    const scales: WeightScales =
      absmax instanceof Float32Array
        ? { kind: 'plain', absmax: put(absmax), count: absmax.length }
        : {
            kind: 'nested',
            codes: put(absmax.codes),
            map: put(absmax.map),
            maxima: put(absmax.nestedAbsmax),
            blockSize: absmax.nestedBlockSize,
            offset: absmax.offset,
            count: absmax.codes.length,
          };
    return { ...codes, scales, byteLength: codes.byteLength + scaleBytes(absmax) };
  } catch (error) {
    for (const block of taken) backend.pool.give(block);
    freeStored(backend.pool, codes);
    throw error;
  }
}

function bytesOf(source: TensorSource, at: number, count: number): Uint8Array {
  const each = STORED_BYTES[source.dtype];
  return source.read(at * each, count * each);
}

const floatsOf = (source: TensorSource, at: number, count: number): Float32Array =>
  decodeFloat32(bytesOf(source, at, count), source.dtype);

function encode(values: Float32Array, format: 'f32' | 'f16' | 'bf16'): Uint8Array {
  const words =
    format === 'f32' ? values : { f16: encodeFloat16, bf16: encodeBfloat16 }[format](values);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r += 1)
    for (let c = 0; c < columns; c += 1) out[c * rows + r] = values[r * columns + c]!;
  return out;
}
