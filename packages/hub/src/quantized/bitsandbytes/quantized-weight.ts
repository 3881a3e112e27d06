/**
 * Weights that a checkpoint stores in bitsandbytes' 4-bit or int8 layout, by the name of the
 * weight.
 */
import {
  codeBook,
  expandAbsmax,
  quantizedRows,
  STORED_BYTES,
  type NestedAbsmax,
  type TensorSource,
} from '@peft/ops';
import { readTensor } from '../../tensor-values.js';
import { decodedSource } from '../decoded-source.js';
import { finiteValues, sizeOf, typedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { QuantizedSource, QuantizedWeight, StoredTensors } from '../quantized-form.js';
import { readQuantState, type QuantState } from './quant-state.js';

export function quantizedWeight(tensors: StoredTensors, name: string): QuantizedWeight | undefined {
  const packed = quantizedSource(tensors, name);
  return packed && { packed, dense: dequantized(packed) };
}

function quantizedSource(tensors: StoredTensors, name: string): QuantizedSource | undefined {
  const weight = tensors.get(name);
  if (!weight) return undefined;
  for (const format of ['nf4', 'fp4'] as const) {
    const state = tensors.get(`${name}.quant_state.bitsandbytes__${format}`);
    if (state) return fourBitSource(tensors, weight, readQuantState(state, format));
  }
  if (weight.dtype === 'I8') return int8Source(tensors, weight);
  if (weight.dtype === 'U8')
    throw partsError(
      name,
      `it is packed, and there is no ${name}.quant_state.bitsandbytes__nf4 or …__fp4 that says how`,
    );
  return undefined;
}

/** In bfloat16. */
function dequantized({ name, shape, read }: QuantizedSource): TensorSource {
  return decodedSource({
    name,
    shape,
    dtype: 'BF16',
    open() {
      const parts = read();
      const { absmax } = parts;
      const expanded =
        absmax instanceof Float32Array ? parts : { ...parts, absmax: expandAbsmax(absmax) };
      return (first, count) => quantizedRows(expanded, first, count);
    },
  });
}

/** Codes may be stored under any dtype (`bnb_4bit_quant_storage`): its bytes count. */
function fourBitSource(
  tensors: StoredTensors,
  weight: TensorSource,
  state: QuantState,
): QuantizedSource {
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
    partOf(tensors, `${name}.${suffix}`, dtype, length);
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
            map: finiteValues(nestedMap!),
            nestedAbsmax: finiteValues(nestedAbsmax!),
            nestedBlockSize: nested.blockSize,
            offset: nested.offset,
          }
        : finiteValues(absmax);
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

function int8Source(tensors: StoredTensors, weight: TensorSource): QuantizedSource {
  const { name, shape } = weight;
  if (shape.length !== 2)
    throw partsError(name, `an int8 weight has two axes, got [${shape.join(', ')}]`);
  const module = name.replace(/\.weight$/, '');
  const absmax = partOf(tensors, `${module}.SCB`, 'F32', shape[0]!);
  const layout = tensors.get(`${module}.weight_format`);
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
      return { name, format: 'int8', shape, packed: weight.read(), absmax: finiteValues(absmax) };
    },
  };
}

/** Some files have it as `[n, 1]`. */
function partOf(
  tensors: StoredTensors,
  name: string,
  dtype: 'F32' | 'U8',
  length: number,
): TensorSource {
  const source = typedPart(tensors, name, [dtype]);
  if (sizeOf(source.shape) !== length)
    throw partsError(name, `${dtype} [${source.shape.join(', ')}], expected ${dtype} [${length}]`);
  return source;
}

/** bitsandbytes always writes its own table; another one would mean other values. */
function checkCodeBook(source: TensorSource, format: 'nf4' | 'fp4'): void {
  const values = finiteValues(source);
  const wrong = codeBook(format).findIndex((value, code) => Math.abs(value - values[code]!) > 1e-6);
  if (wrong >= 0)
    throw partsError(
      source.name,
      `code ${wrong} stands for ${values[wrong]}, in ${format} it is ${codeBook(format)[wrong]}`,
    );
}
