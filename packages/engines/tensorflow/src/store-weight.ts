/**
 * Puts a weight on the device: stored bytes as they are, other formats converted there, quantised
 * ones as bitsandbytes packs them.
 */
import { PeftError } from '@peft/errors';
import {
  checkBlockSize,
  decodeFloat32,
  memorySource,
  nestAbsmax,
  quantize4Bit,
  quantizedRows,
  quantizeInt8Rows,
  type FreezeOptions,
  type QuantizedParts,
  type StoredDtype,
  type TensorSource,
  type WeightFormat,
} from '@peft/ops';
import { TYPE } from './binding.js';
import type { Device, RawTensor } from './device.js';
import type { NestedTensors, StoredTensors } from './tensorflow-weight.js';

export interface StoredWeight {
  readonly stored: StoredTensors;
  readonly shape: readonly [number, number];
  readonly format: WeightFormat;
  readonly byteLength: number;
}

const AS_STORED: Partial<Record<StoredDtype, PlainFormat>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};
const TYPES = { f32: TYPE.float32, f16: TYPE.float16, bf16: TYPE.bfloat16 } as const;
type PlainFormat = keyof typeof TYPES;

/** @throws PEFT_WEIGHT_SHAPE, PEFT_CONFIG_INVALID for a block size, PEFT_DEVICE_MEMORY */
export function storeSource(
  device: Device,
  source: TensorSource,
  { format, transposed = false, blockSize = 64, doubleQuantization = false }: FreezeOptions,
): StoredWeight {
  const [first, second] = matrixShape(source.name, source.shape);
  const shape = transposed ? ([second, first] as const) : ([first, second] as const);
  const wanted = format ?? AS_STORED[source.dtype] ?? 'f32';
  if (wanted === 'f32' || wanted === 'f16' || wanted === 'bf16') {
    const values = device.scope(() =>
      device.keep(plainValues(device, source, wanted, [first, second])),
    );
    return {
      stored: { kind: 'plain', values, transposed },
      shape,
      format: wanted,
      byteLength: shape[0] * shape[1] * (wanted === 'f32' ? 4 : 2),
    };
  }
  const stored = decodeFloat32(source.read(), source.dtype);
  const values = transposed ? turned(stored, first, second) : stored;
  if (wanted === 'int8')
    return storeParts(device, {
      name: source.name,
      format: wanted,
      shape,
      ...quantizeInt8Rows(values, shape[0]),
    });
  checkBlockSize(blockSize);
  const { packed, absmax } = quantize4Bit(values, wanted, blockSize);
  return storeParts(device, {
    name: source.name,
    format: wanted,
    shape,
    packed,
    absmax: doubleQuantization ? nestAbsmax(absmax) : absmax,
    blockSize,
  });
}

/**
 * `int4` and `mxfp4`, which only checkpoints have, become bfloat16.
 * @throws PEFT_QUANTIZED_PARTS when lengths and shape do not fit together
 */
export function storeParts(device: Device, parts: QuantizedParts): StoredWeight {
  const { name, format, packed, absmax, blockSize = 64 } = parts;
  const shape = matrixShape(name, parts.shape);
  checkParts(parts, shape);
  if (format === 'int4' || format === 'mxfp4')
    return storeSource(device, memorySource(name, shape, quantizedRows(parts, 0, shape[0])), {
      format: 'bf16',
    });
  const byteLength =
    packed.byteLength +
    (absmax instanceof Float32Array
      ? absmax.byteLength
      : absmax.codes.byteLength + absmax.map.byteLength + absmax.nestedAbsmax.byteLength + 4);
  const own = (make: () => RawTensor) => device.scope(() => device.keep(make()));
  const bytes = (
    values: Uint8Array,
    type: typeof TYPE.uint8 | typeof TYPE.int8,
    size: readonly number[],
  ) => own(() => device.upload(ownCopy(values), type, size));
  const floats = (values: Float32Array, size: readonly number[] = [values.length]) =>
    own(() => device.floats(values.slice(), size));
  if (format === 'int8') {
    if (!(absmax instanceof Float32Array))
      throw partsError(name, 'the row maxima of int8 are not quantised');
    return {
      stored: {
        kind: 'int8',
        codes: bytes(packed, TYPE.int8, shape),
        absmax: floats(absmax, [shape[0], 1]),
      },
      shape,
      format,
      byteLength,
    };
  }
  const nested = (): NestedTensors => {
    const { codes, map, nestedAbsmax, nestedBlockSize, offset } = absmax as Exclude<
      typeof absmax,
      Float32Array
    >;
    return {
      codes: bytes(codes, TYPE.uint8, [codes.length]),
      map: floats(map),
      nestedAbsmax: floats(nestedAbsmax),
      nestedBlockSize,
      offset,
    };
  };
  return {
    stored: {
      kind: 'fourBit',
      packed: bytes(packed, TYPE.uint8, [packed.length]),
      blockSize,
      absmax: absmax instanceof Float32Array ? floats(absmax) : nested(),
    },
    shape,
    format,
    byteLength,
  };
}

function plainValues(
  device: Device,
  source: TensorSource,
  format: PlainFormat,
  shape: readonly [number, number],
): RawTensor {
  const asStored = AS_STORED[source.dtype];
  const stored = asStored
    ? device.upload(source.read(), TYPES[asStored], shape)
    : device.floats(decodeFloat32(source.read(), source.dtype), shape);
  return device.cast(stored, stored.type, TYPES[format]) as RawTensor;
}

function matrixShape(name: string, shape: readonly number[]): readonly [number, number] {
  if (shape.length !== 2)
    throw new PeftError(
      'PEFT_WEIGHT_SHAPE',
      `${name}: a frozen weight has two axes, got [${shape.join(', ')}].`,
    );
  return [shape[0]!, shape[1]!];
}

function checkParts(
  { name, format, packed, absmax, zeros, blockSize = 64 }: QuantizedParts,
  [rows, columns]: readonly [number, number],
): void {
  const elements = rows * columns;
  if (format !== 'int8') checkBlockSize(blockSize);
  const [bytes, scales] =
    format === 'int8'
      ? [elements, rows]
      : [Math.ceil(elements / 2), Math.ceil(elements / blockSize)];
  const given = absmax instanceof Float32Array ? absmax.length : absmax.codes.length;
  if (packed.length !== bytes)
    throw partsError(
      name,
      `${packed.length} bytes were given for a ${format} weight of ${rows} × ${columns}, which has ${bytes}`,
    );
  if (format === 'int4' && zeros?.length !== scales)
    throw partsError(name, `${zeros?.length ?? 0} zero points were given for ${scales} blocks`);
  if (given !== scales)
    throw partsError(
      name,
      `${given} maxima were given for a ${format} weight of ${rows} × ${columns}, which has ${scales}`,
    );
  if (
    !(absmax instanceof Float32Array) &&
    (absmax.map.length !== 256 ||
      absmax.nestedAbsmax.length !== Math.ceil(scales / absmax.nestedBlockSize))
  )
    throw partsError(
      name,
      `quantised maxima have a map of ${absmax.map.length} and ${absmax.nestedAbsmax.length} maxima of their own`,
    );
}

const partsError = (name: string, problem: string): PeftError =>
  new PeftError('PEFT_QUANTIZED_PARTS', `${name}: ${problem}.`, {
    hint: 'the file is damaged, or its quantisation settings belong to another one',
  });

/** TensorFlow may keep the memory that it is given, so it gets its own. */
const ownCopy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r += 1)
    for (let c = 0; c < columns; c += 1) out[c * rows + r] = values[r * columns + c]!;
  return out;
}
