/**
 * How the portable engine holds a frozen weight's elements, by format, and how it reads rows of
 * them.
 */
import { PeftError } from '@peft/errors';
import {
  checkBlockSize,
  decodeFloat32,
  encodeBfloat16,
  encodeFloat16,
  expandAbsmax,
  nestAbsmax,
  quantize4Bit,
  quantizedRows,
  quantizeInt8Rows,
  type ConvertibleFormat,
  type FreezeOptions,
  type NestedAbsmax,
  type QuantizedParts,
  type StoredDtype,
  type TensorSource,
  type WeightFormat,
} from '@peft/ops';

/** The elements of a weight of logical shape `[out, in]`. */
export interface StoredWeight {
  readonly format: WeightFormat;
  readonly byteLength: number;
  /** Rows `first` … `first + count − 1` in float32, row-major. */
  rows(first: number, count: number): Float32Array;
  /** The bytes themselves, where they are an `[in, out]` matrix. */
  readonly transposed?: Float32Array;
  /** What a quantised weight is made of. */
  readonly parts?: QuantizedParts;
}

const PLAIN: Partial<Record<StoredDtype, ConvertibleFormat>> = { F16: 'f16', BF16: 'bf16' };
const DTYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/**
 * Reads and, where asked for, converts or quantises a source.
 * @throws PEFT_WEIGHT_SHAPE, PEFT_WEIGHT_FORMAT, PEFT_CONFIG_INVALID
 */
export function storeSource(
  source: TensorSource,
  { format, transposed = false, blockSize = 64, doubleQuantization = false }: FreezeOptions,
): { stored: StoredWeight; shape: [number, number] } {
  const [first, second] = matrixShape(source.name, source.shape);
  const [rows, columns] = transposed ? [second, first] : [first, second];
  const bytes = source.read();
  const asStored = PLAIN[source.dtype] ?? 'f32';
  const wanted = format ?? asStored;
  const plain = wanted === 'f32' || wanted === 'f16' || wanted === 'bf16';
  if (plain)
    return {
      shape: [rows, columns],
      stored: plainWeight(
        source.dtype === DTYPES[wanted]
          ? bytes
          : encode(decodeFloat32(bytes, source.dtype), wanted),
        wanted,
        rows,
        columns,
        transposed,
      ),
    };
  const values = transposed
    ? transpose(decodeFloat32(bytes, source.dtype), first, second)
    : decodeFloat32(bytes, source.dtype);
  return {
    shape: [rows, columns],
    stored: quantizedWeight(
      quantize(source.name, values, wanted, rows, columns, blockSize, doubleQuantization),
    ),
  };
}

/**
 * Takes a weight that is quantised already.
 * @throws PEFT_QUANTIZED_PARTS when its parts do not fit together.
 */
export function storeParts(parts: QuantizedParts): StoredWeight {
  checkParts(parts);
  return quantizedWeight(parts);
}

/**
 * The two axes of a weight.
 * @throws PEFT_WEIGHT_SHAPE for another number of axes
 */
export function matrixShape(name: string, shape: readonly number[]): [number, number] {
  if (shape.length !== 2)
    throw new PeftError(
      'PEFT_WEIGHT_SHAPE',
      `${name}: a frozen weight has two axes, got [${shape.join(', ')}].`,
    );
  return [shape[0]!, shape[1]!];
}

const ENCODE = {
  f32: (values: Float32Array) => values,
  f16: encodeFloat16,
  bf16: encodeBfloat16,
} as const;

function encode(values: Float32Array, format: 'f32' | 'f16' | 'bf16'): Uint8Array {
  const words = ENCODE[format](values);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** The file's own bytes, decoded as they are read. */
function plainWeight(
  bytes: Uint8Array,
  format: 'f32' | 'f16' | 'bf16',
  rows: number,
  columns: number,
  transposed: boolean,
): StoredWeight {
  const dtype = DTYPES[format];
  const elementBytes = bytes.byteLength / (rows * columns);
  const decodeRows = (first: number, count: number) =>
    decodeFloat32(
      bytes.subarray(first * columns * elementBytes, (first + count) * columns * elementBytes),
      dtype,
    );
  if (!transposed) return { format, byteLength: bytes.byteLength, rows: decodeRows };
  let whole: Float32Array | undefined;
  return {
    format,
    byteLength: bytes.byteLength,
    get transposed() {
      return decodeFloat32(bytes, dtype);
    },
    rows: (first, count) => {
      whole ??= transpose(decodeFloat32(bytes, dtype), columns, rows);
      return whole.slice(first * columns, (first + count) * columns);
    },
  };
}

function quantize(
  name: string,
  values: Float32Array,
  format: ConvertibleFormat,
  rows: number,
  columns: number,
  blockSize: number,
  doubleQuantization: boolean,
): QuantizedParts {
  const shape = [rows, columns];
  if (format === 'int8') return { name, format, shape, ...quantizeInt8Rows(values, rows) };
  if (format !== 'nf4' && format !== 'fp4')
    throw new PeftError(
      'PEFT_WEIGHT_FORMAT',
      `portable: ${name} cannot be stored as ${JSON.stringify(format)}.`,
      { hint: 'formats are f32, f16, bf16, int8, nf4 and fp4' },
    );
  const { packed, absmax } = quantize4Bit(values, format, blockSize);
  return {
    name,
    format,
    shape,
    packed,
    absmax: doubleQuantization ? nestAbsmax(absmax) : absmax,
    blockSize,
  };
}

/** Packed codes stay packed; the block maxima are expanded once. */
function quantizedWeight(parts: QuantizedParts): StoredWeight {
  const { format, packed, absmax, zeros } = parts;
  const expanded =
    absmax instanceof Float32Array ? parts : { ...parts, absmax: expandAbsmax(absmax) };
  const byteLength =
    packed.byteLength +
    (zeros?.byteLength ?? 0) +
    (absmax instanceof Float32Array
      ? absmax.byteLength
      : absmax.codes.byteLength + absmax.nestedAbsmax.byteLength + absmax.map.byteLength + 4);
  const rows = (first: number, count: number) => quantizedRows(expanded, first, count);
  return { format, byteLength, rows, parts };
}

function checkParts(parts: QuantizedParts): void {
  const { name, format, shape, packed, absmax, zeros, blockSize = 64 } = parts;
  const [rows, columns] = matrixShape(name, shape);
  const elements = rows * columns;
  const fail = (problem: string): never => {
    throw new PeftError(
      'PEFT_QUANTIZED_PARTS',
      `portable: ${name} [${rows}, ${columns}] as ${format}: ${problem}.`,
      { hint: 'the checkpoint is damaged, or was quantised in another way than its config says' },
    );
  };
  const expect = (what: string, got: number, wanted: number) =>
    got === wanted || fail(`${got} ${what}, expected ${wanted}`);
  if (format === 'int8') {
    expect('bytes', packed.byteLength, elements);
    if (!(absmax instanceof Float32Array))
      return fail('its row maxima are nested, which only 4-bit formats have');
    expect('row maxima', absmax.length, rows);
    return;
  }
  checkBlockSize(blockSize);
  expect('bytes', packed.byteLength, Math.ceil(elements / 2));
  const blocks = Math.ceil(elements / blockSize);
  if (format === 'int4') expect('zero points', zeros?.length ?? 0, blocks);
  if (absmax instanceof Float32Array) expect('block maxima', absmax.length, blocks);
  else if (format === 'int4' || format === 'mxfp4')
    fail('its scales are nested, which those of nf4 and fp4 are');
  else checkNested(absmax, blocks, expect);
}

function checkNested(
  { codes, map, nestedAbsmax, nestedBlockSize }: NestedAbsmax,
  blocks: number,
  expect: (what: string, got: number, wanted: number) => void,
): void {
  expect('nested codes', codes.length, blocks);
  expect('values in the nested map', map.length, 256);
  expect('nested maxima', nestedAbsmax.length, Math.ceil(blocks / nestedBlockSize));
}

/** `[rows, columns]` → `[columns, rows]` */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r += 1)
    for (let c = 0; c < columns; c += 1) out[c * rows + r] = values[r * columns + c]!;
  return out;
}
