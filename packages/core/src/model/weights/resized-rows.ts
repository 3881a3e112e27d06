/**
 * A table with another number of rows than the checkpoint has: some of its rows, or all of them and
 * rows for new tokens behind.
 *
 *   new row = μ + √(ε/K)·Σₖ zₖ·(E[iₖ] − μ)      μ the mean of the rows E, zₖ ~ N(0, 1), ε = 10⁻⁹
 *
 * with K rows iₖ drawn from the table: mean and covariance are those of the distribution N(μ, ε·Σ)
 * that transformers' `resize_token_embeddings` draws from (`mean_resizing`, Hewitt 2021). A new
 * element of a bias is the mean. Each row depends on the table and its own number alone.
 */
import {
  decodeFloat32,
  encodeBfloat16,
  encodeFloat16,
  randomKey,
  randomNormal,
  randomUniform,
  STORED_BYTES,
  type TensorSource,
} from '@peft/ops';
import { PeftError } from '@peft/errors';

const EPSILON = 1e-9;
/** K */
const DRAWN_ROWS = 256;
/** Bytes that are read at once for the mean. */
const PIECE = 1 << 24;

/**
 * @param source `[V, D]` or `[V]`.
 * @param rows of the result, fewer or more than V.
 * @throws PEFT_TENSOR_DTYPE, when it is read, for rows of another type than f32, f16, bf16
 */
export function resizedRows(source: TensorSource, rows: number): TensorSource {
  const stored = source.shape[0]!;
  const rowBytes = source.byteLength / stored;
  const shape = [rows, ...source.shape.slice(1)];
  const byteLength = rows * rowBytes;
  if (rows <= stored)
    return {
      ...source,
      shape,
      byteLength,
      read: (offset = 0, length = byteLength - offset) => source.read(offset, length),
    };
  let made: Uint8Array | undefined;
  const added = (): Uint8Array => (made ??= newRows(source, rows - stored));
  return {
    name: source.name,
    dtype: source.dtype,
    shape,
    byteLength,
    read(offset = 0, length = byteLength - offset) {
      const end = offset + length;
      const bytes = new Uint8Array(length);
      if (offset < source.byteLength)
        bytes.set(source.read(offset, Math.min(end, source.byteLength) - offset));
      if (end > source.byteLength) {
        const from = Math.max(0, offset - source.byteLength);
        const place = Math.max(0, source.byteLength - offset);
        bytes.set(added().subarray(from, end - source.byteLength), place);
      }
      return bytes;
    },
  };
}

/** A buffer `[1, V]` with fewer values, or zeros behind its own, as transformers fills it. */
export function resizedBuffer(source: TensorSource, size: number): TensorSource {
  const itemBytes = STORED_BYTES[source.dtype];
  const byteLength = size * itemBytes;
  const values = (): Uint8Array => {
    const bytes = new Uint8Array(byteLength);
    bytes.set(source.read(0, Math.min(byteLength, source.byteLength)));
    return bytes;
  };
  return {
    name: source.name,
    dtype: source.dtype,
    shape: [1, size],
    byteLength,
    read: (offset = 0, length = byteLength - offset) => values().slice(offset, offset + length),
  };
}

/** Bytes of `count` rows behind those of the table. */
function newRows(source: TensorSource, count: number): Uint8Array {
  const stored = source.shape[0]!;
  const width = source.shape.slice(1).reduce((product, size) => product * size, 1);
  const rowBytes = source.byteLength / stored;
  const mean = meanRow(source, width);
  const values = new Float32Array(count * width);
  const drawn = Math.min(DRAWN_ROWS, stored);
  for (let n = 0; n < count; n += 1) {
    const sum = new Float64Array(width);
    const key = randomKey('vocabulary', stored + n);
    for (let k = 0; source.shape.length > 1 && k < drawn; k += 1) {
      const row = Math.floor(randomUniform(key, 2 * drawn + k) * stored);
      const values = decodeFloat32(source.read(row * rowBytes, rowBytes), source.dtype);
      const z = randomNormal(key, k);
      for (let d = 0; d < width; d += 1) sum[d]! += z * (values[d]! - mean[d]!);
    }
    const scale = Math.sqrt(EPSILON / drawn);
    for (let d = 0; d < width; d += 1) values[n * width + d] = mean[d]! + scale * sum[d]!;
  }
  return encode(source, values);
}

/** μ, summed in float64 in the order of the rows. */
function meanRow(source: TensorSource, width: number): Float64Array {
  const mean = new Float64Array(width);
  const stored = source.shape[0]!;
  const rowBytes = width * STORED_BYTES[source.dtype];
  const step = Math.max(1, Math.floor(PIECE / rowBytes));
  for (let row = 0; row < stored; row += step) {
    const count = Math.min(step, stored - row);
    const values = decodeFloat32(source.read(row * rowBytes, count * rowBytes), source.dtype);
    for (let i = 0; i < values.length; i += 1) mean[i % width]! += values[i]!;
  }
  return mean.map((sum) => sum / stored);
}

function encode({ name, dtype }: TensorSource, values: Float32Array): Uint8Array {
  const bytesOf = ({ buffer }: ArrayBufferView): Uint8Array =>
    new Uint8Array(buffer as ArrayBuffer);
  switch (dtype) {
    case 'F32':
      return bytesOf(values);
    case 'F16':
      return bytesOf(encodeFloat16(values));
    case 'BF16':
      return bytesOf(encodeBfloat16(values));
    case 'F64':
      return bytesOf(Float64Array.from(values));
    default:
      throw new PeftError(
        'PEFT_TENSOR_DTYPE',
        `${name}: rows cannot be added to a table of type ${dtype}.`,
        { hint: 'the vocabulary of a checkpoint in f32, f16 or bf16 can grow' },
      );
  }
}
