/**
 * One linear layer of hqq. Its values are laid out as a table, `[out·in/group_size, group_size]` of
 * groups along rows (`axis` 1) or `[group_size, out·in/group_size]` (`axis` 0), and `W_q` has a table
 * of as many columns: a word holds the codes of rows `r`, `r + step`, `r + 2·step` …, the first one in
 * its highest bits, where `step` is how many rows of words there are.
 */
import { show } from '@peft/errors';
import type { TensorSource } from '@peft/ops';
import { decodeValues, encodeValues, readTensor } from '../../tensor-values.js';
import { decodedSource } from '../decoded-source.js';
import { decodedDtype } from '../integer/grouped-codes.js';
import { finiteValues, shapedPart, typedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { QuantizedWeight, StoredTensors } from '../quantized-form.js';

/** How many codes of how many bits a word has. */
interface Packing {
  readonly bits: number;
  readonly codes: number;
  readonly wordBytes: 1 | 4;
}

const PACKINGS: Readonly<Record<string, Packing>> = Object.freeze({
  '8bit_u8': { bits: 8, codes: 1, wordBytes: 1 },
  '4bit_u8': { bits: 4, codes: 2, wordBytes: 1 },
  '3bit_32': { bits: 3, codes: 10, wordBytes: 4 },
  '2bit_u8': { bits: 2, codes: 4, wordBytes: 1 },
  '1bit_u8': { bits: 1, codes: 8, wordBytes: 1 },
});

/** What the settings of a layer say of its tables. */
interface Table {
  readonly packing: Packing;
  readonly columns: number;
  /** Of words. */
  readonly step: number;
  /** Groups are rows of the table. */
  readonly byRow: boolean;
}

/** @throws PEFT_QUANTIZED_PARTS */
export function hqqWeight(tensors: StoredTensors, module: string): QuantizedWeight {
  const shape = weightShape(tensors, `${module}.shape`);
  const source = typedPart(tensors, `${module}.W_q`, ['U8', 'I32', 'F16', 'BF16', 'F32']);
  const table = tableOf(tensors, module, shape, source);
  const groups = (shape[0] * shape[1]) / integer(tensors, `${module}.group_size`);
  const groupShape = table.byRow ? [groups, 1] : [1, groups];
  const scale = shapedPart(tensors, `${module}.scale`, ['F16', 'BF16', 'F32'], groupShape);
  const zero = shapedPart(tensors, `${module}.zero`, [scale.dtype], groupShape);
  return {
    dense: decodedSource({
      name: `${module}.weight`,
      shape,
      dtype: decodedDtype(scale),
      open() {
        const codes = openCodes(source, table);
        const [scales, zeros] = [finiteValues(scale), finiteValues(zero)];
        return (first, count) => {
          const [start, length] = [first * shape[1], count * shape[1]];
          const own = codes(start, length);
          const group = (i: number): number =>
            table.byRow ? Math.floor((start + i) / table.columns) : (start + i) % table.columns;
          const centred = rounded(
            scale.dtype,
            own.map((code, i) => code - zeros[group(i)]!),
          );
          return centred.map((value, i) => value * scales[group(i)]!);
        };
      },
    }),
  };
}

/** hqq subtracts in the layer's type. */
const rounded = (dtype: TensorSource['dtype'], values: Float32Array): Float32Array =>
  dtype === 'F16' || dtype === 'BF16' ? decodeValues(dtype, encodeValues(dtype, values)) : values;

function weightShape(tensors: StoredTensors, name: string): [number, number] {
  const { values } = readTensor(shapedPart(tensors, name, ['I64', 'I32'], [2]));
  const sizes = Array.from(values, Number);
  if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0))
    throw partsError(name, `it is [${sizes.join(', ')}]`);
  return sizes as [number, number];
}

function integer(tensors: StoredTensors, name: string): number {
  const value = readTensor(shapedPart(tensors, name, ['I32', 'I64'], [])).values[0]!;
  return Number(value);
}

/** @throws PEFT_QUANTIZED_PARTS where the words are more or fewer than the weight has */
function tableOf(
  tensors: StoredTensors,
  module: string,
  [outputs, inputs]: readonly [number, number],
  source: TensorSource,
): Table {
  const packing = packingOf(tensors, module);
  const size = outputs * inputs;
  const groupSize = integer(tensors, `${module}.group_size`);
  if (!(groupSize > 0) || size % groupSize !== 0)
    throw partsError(`${module}.group_size`, `groups of ${groupSize} do not divide ${size} values`);
  const axis = integer(tensors, `${module}.axis`);
  if (axis !== 0 && axis !== 1) throw partsError(`${module}.axis`, `it is ${axis}, not 0 or 1`);
  const columns = axis === 1 ? groupSize : size / groupSize;
  const rows = size / columns;
  const step = Math.ceil(rows / packing.codes);
  const isWhole = step * packing.codes === rows || packing.bits === 3;
  if (!isWhole || source.byteLength !== step * columns * packing.wordBytes)
    throw partsError(
      source.name,
      `${source.byteLength} bytes do not hold [${outputs}, ${inputs}] in ${packing.bits} bits`,
    );
  return { packing, columns, step, byRow: axis === 1 };
}

function packingOf(tensors: StoredTensors, module: string): Packing {
  const name = `${module}.packing`;
  const source = typedPart(tensors, name, ['U8']);
  const text = source.byteLength < 32 ? String.fromCharCode(...source.read()) : '';
  const packing = Object.hasOwn(PACKINGS, text) ? PACKINGS[text] : undefined;
  if (!packing)
    throw partsError(name, `${show(text)} is none of ${Object.keys(PACKINGS).join(', ')}`);
  const bits = integer(tensors, `${module}.nbits`);
  if (bits !== packing.bits)
    throw partsError(`${module}.nbits`, `${bits} bits are packed as ${text}`);
  return packing;
}

/** Codes of `length` values of the weight from `start` on. */
function openCodes(
  source: TensorSource,
  { packing: { bits, codes, wordBytes }, columns, step }: Table,
): (start: number, length: number) => Float32Array {
  const bytes = source.read();
  const words = wordBytes === 1 ? bytes : decodeValues('I32', bytes);
  const [highest, mask] = [bits * (codes - 1), 2 ** bits - 1];
  return (start, length) => {
    const values = new Float32Array(length);
    for (let i = 0; i < length; i += 1) {
      const row = Math.floor((start + i) / columns);
      const field = Math.floor(row / step);
      const word = words[(row - field * step) * columns + ((start + i) % columns)]!;
      values[i] = (word >> (highest - bits * field)) & mask;
    }
    return values;
  };
}
