/**
 * Weights that a checkpoint stores in bitsandbytes' 4-bit or int8 layout, by the name of the
 * weight.
 */
import {
  STORED_BYTES,
  codeBook,
  type NestedAbsmax,
  type QuantizedParts,
  type TensorSource,
} from '@peft/ops';
import { readTensor } from '../tensor-values.js';
import { readQuantizationConfig } from './quantization-config.js';
import { partsError } from './quantized-parts-error.js';
import { readQuantState, type QuantState } from './quant-state.js';

/** A weight that is stored quantised, checked but for its values, which are not yet read. */
export interface QuantizedSource {
  readonly name: string;
  readonly format: QuantizedParts['format'];
  /** `[out, in]` */
  readonly shape: readonly [number, number];
  /** Of all its parts together. */
  readonly byteLength: number;
  /** @throws PEFT_QUANTIZED_PARTS when a value makes no sense. */
  read(): QuantizedParts;
}

interface Store {
  names(): Iterable<string>;
  get(name: string): TensorSource | undefined;
}

/**
 * The store with its quantised weights.
 *
 * @param quantizationConfig `quantization_config` of config.json; without one the store is returned
 *   as it is.
 * @throws PEFT_QUANTIZATION_METHOD, PEFT_QUANTIZATION_CONFIG; and `quantized` throws
 *   PEFT_QUANTIZED_PARTS for parts that are missing or do not fit together.
 */
export function quantizedStore<S extends Store>(
  store: S,
  quantizationConfig: unknown,
): S | (Store & { quantized(name: string): QuantizedSource | undefined }) {
  if (!readQuantizationConfig(quantizationConfig)) return store;
  return {
    names: () => store.names(),
    get: (name) => store.get(name),
    quantized: (name) => quantizedSource(store, name),
  };
}

function quantizedSource(store: Store, name: string): QuantizedSource | undefined {
  const weight = store.get(name);
  if (!weight) return undefined;
  for (const format of ['nf4', 'fp4'] as const) {
    const state = store.get(`${name}.quant_state.bitsandbytes__${format}`);
    if (state) return fourBitSource(store, weight, readQuantState(state, format));
  }
  if (weight.dtype === 'I8') return int8Source(store, weight);
  if (weight.dtype === 'U8')
    throw partsError(
      name,
      `it is packed, and there is no ${name}.quant_state.bitsandbytes__nf4 or …__fp4 that says how`,
    );
  return undefined;
}

/** Codes may be stored under any dtype (`bnb_4bit_quant_storage`): its bytes count. */
function fourBitSource(store: Store, weight: TensorSource, state: QuantState): QuantizedSource {
  const { name } = weight;
  const { format, shape, blockSize, nested } = state;
  const elements = shape[0] * shape[1];
  const packedBytes = Math.ceil(elements / 2);
  const blocks = Math.ceil(elements / blockSize);
  const surplus = weight.byteLength - packedBytes;
  if (surplus < 0 || surplus >= STORED_BYTES[weight.dtype])
    throw partsError(
      name,
      `${weight.byteLength} bytes, expected ${packedBytes} for [${shape.join(', ')}] in 4 bits`,
    );
  const part = (suffix: string, dtype: 'F32' | 'U8', length: number): TensorSource =>
    partOf(store, `${name}.${suffix}`, dtype, length);
  const map = part('quant_map', 'F32', 16);
  const absmax = part('absmax', nested ? 'U8' : 'F32', blocks);
  const nestedAbsmax = nested && part('nested_absmax', 'F32', Math.ceil(blocks / nested.blockSize));
  const nestedMap = nested && part('nested_quant_map', 'F32', 256);
  const parts = [weight, map, absmax, nestedAbsmax, nestedMap];
  return {
    name,
    format,
    shape,
    byteLength: parts.reduce((sum, each) => sum + (each?.byteLength ?? 0), 0),
    read: () => {
      checkCodeBook(map, format);
      const scales: Float32Array | NestedAbsmax = nested
        ? {
            codes: absmax.read(),
            map: finite(nestedMap!),
            nestedAbsmax: finite(nestedAbsmax!),
            nestedBlockSize: nested.blockSize,
            offset: nested.offset,
          }
        : finite(absmax);
      return {
        name,
        format,
        shape,
        packed: weight.read(0, packedBytes),
        absmax: scales,
        blockSize,
      };
    },
  };
}

function int8Source(store: Store, weight: TensorSource): QuantizedSource {
  const { name, shape } = weight;
  if (shape.length !== 2)
    throw partsError(name, `an int8 weight has two axes, got [${shape.join(', ')}]`);
  const module = name.replace(/\.weight$/, '');
  const absmax = partOf(store, `${module}.SCB`, 'F32', shape[0]!);
  const layout = store.get(`${module}.weight_format`);
  return {
    name,
    format: 'int8',
    shape: [shape[0]!, shape[1]!],
    byteLength: weight.byteLength + absmax.byteLength,
    read: () => {
      const format = layout ? Number(readTensor(layout).values[0]) : 0;
      if (format !== 0)
        throw partsError(
          name,
          `its weight_format is ${format}, and only 0 (row-major) is readable; the others ` +
            `belong to one graphics card's layout`,
        );
      return { name, format: 'int8', shape, packed: weight.read(), absmax: finite(absmax) };
    },
  };
}

function partOf(store: Store, name: string, dtype: 'F32' | 'U8', length: number): TensorSource {
  const source = store.get(name);
  if (!source) throw partsError(name, 'it is missing');
  const size = source.shape.reduce((product, axis) => product * axis, 1);
  if (source.dtype !== dtype || size !== length)
    throw partsError(
      name,
      `${source.dtype} [${source.shape.join(', ')}], expected ${dtype} [${length}]`,
    );
  return source;
}

function finite(source: TensorSource): Float32Array {
  const values = readTensor(source).values as Float32Array;
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw partsError(source.name, `value ${wrong} is ${values[wrong]}`);
  return values;
}

/** bitsandbytes always writes its own table; another one would mean other values. */
function checkCodeBook(source: TensorSource, format: 'nf4' | 'fp4'): void {
  const values = finite(source);
  const wrong = codeBook(format).findIndex((value, code) => Math.abs(value - values[code]!) > 1e-6);
  if (wrong >= 0)
    throw partsError(
      source.name,
      `code ${wrong} stands for ${values[wrong]}, in ${format} it is ${codeBook(format)[wrong]}`,
    );
}
