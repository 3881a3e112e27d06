/** Integers of 4 and 8 bits with scales of groups of a row, of rows or of the whole weight. */
import type { TensorSource } from '@peft/ops';
import { readTensor } from '../../tensor-values.js';
import { asWords, bitField, wordsOf } from '../integer/bit-fields.js';
import { columnGroups } from '../integer/column-groups.js';
import { middleOf, unsigned } from '../integer/signed-codes.js';
import { swappedNibbles, wordCodes } from '../integer/word-codes.js';
import { decodedDtype, groupedWeight } from '../integer/grouped-codes.js';
import { finiteValues, shapedPart, sizeOf, typedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { QuantizedWeight, StoredTensors } from '../quantized-form.js';
import type { Scheme } from './scheme.js';

type IntegerScheme = Extract<Scheme, { readonly type: 'int' }>;

/** @throws PEFT_QUANTIZED_PARTS */
export function integerWeight(
  tensors: StoredTensors,
  name: string,
  scale: TensorSource,
  scheme: IntegerScheme,
): QuantizedWeight {
  const { bits, isPacked } = scheme;
  const { source, rows, columns } = isPacked
    ? packedIntegers(tensors, name, bits)
    : plainIntegers(tensors, name);
  const groups = groupsOf(scale, rows, columns, scheme.groupSize);
  const zeros = scheme.isSymmetric ? undefined : zeroPoints(tensors, name, scale, bits);
  return groupedWeight({
    name,
    shape: [rows, columns],
    bits,
    isSymmetric: scheme.isSymmetric,
    groups,
    groupOfColumn: columnGroups(tensors, `${name}_g_idx`, columns, groups),
    dtype: decodedDtype(scale),
    byteLength: source.byteLength + scale.byteLength + (zeros?.source.byteLength ?? 0),
    open() {
      const scales = new Float32Array(rows * groups);
      spread(scales, finiteValues(scale));
      const points = new Uint8Array(rows * groups);
      spread(points, zeros ? zeros.read() : [middleOf(bits)]);
      return {
        scales,
        zeros: points,
        codes: (first, count) =>
          isPacked
            ? unpacked(source, bits, columns, first, count)
            : unsigned(name, source.read(first * columns, count * columns), bits),
        nibbles:
          isPacked && bits === 4 && columns % 8 === 0
            ? (first, count) => swappedNibbles(wordsOfRows(source, bits, columns, first, count))
            : undefined,
      };
    },
  });
}

function packedIntegers(tensors: StoredTensors, name: string, bits: number) {
  const shape = readTensor(shapedPart(tensors, `${name}_shape`, ['I64', 'I32'], [2]));
  const [rows, columns] = Array.from(shape.values, Number) as [number, number];
  const source = typedPart(tensors, `${name}_packed`, ['I32']);
  if (!(rows > 0) || !(columns > 0) || source.shape.join() !== `${rows},${wordsOf(columns, bits)}`)
    throw partsError(
      source.name,
      `[${source.shape.join(', ')}] does not hold [${rows}, ${columns}] in ${bits} bits`,
    );
  return { source, rows, columns };
}

function plainIntegers(tensors: StoredTensors, name: string) {
  const source = typedPart(tensors, name, ['I8']);
  const [rows, columns] = source.shape as [number, number];
  if (source.shape.length !== 2 || rows === 0 || columns === 0)
    throw partsError(name, `it has two axes, got [${source.shape.join(', ')}]`);
  return { source, rows, columns };
}

/** One value of the whole weight is that of every row. */
const spread = (all: Float32Array | Uint8Array, stored: ArrayLike<number>): void =>
  stored.length === 1 ? void all.fill(stored[0]!) : all.set(stored);

function unpacked(
  source: TensorSource,
  bits: number,
  columns: number,
  first: number,
  count: number,
): Uint8Array {
  const words = wordsOfRows(source, bits, columns, first, count);
  if ((columns * bits) % 32 === 0) return wordCodes(words, bits);
  const rowWords = wordsOf(columns, bits);
  const codes = new Uint8Array(count * columns);
  for (let row = 0; row < count; row += 1)
    for (let k = 0; k < columns; k += 1)
      codes[row * columns + k] = bitField(words, bits, k, row * rowWords);
  return codes;
}

function wordsOfRows(
  source: TensorSource,
  bits: number,
  columns: number,
  first: number,
  count: number,
): Uint32Array {
  const rowBytes = 4 * wordsOf(columns, bits);
  return asWords(source.read(first * rowBytes, count * rowBytes));
}

function groupsOf(scale: TensorSource, rows: number, columns: number, groupSize = columns): number {
  const groups = Math.ceil(columns / groupSize);
  const shape = scale.shape.join();
  const isWhole = sizeOf(scale.shape) === 1 && groupSize === columns;
  if (isWhole || shape === `${rows},${groups}` || (groups === 1 && shape === `${rows}`))
    return groups;
  throw partsError(
    scale.name,
    `[${scale.shape.join(', ')}] does not go with [${rows}, ${columns}] in groups of ${groupSize}`,
  );
}

/** Zero points as the codes count: packed in words down the columns, or plain. */
function zeroPoints(
  tensors: StoredTensors,
  name: string,
  scale: TensorSource,
  bits: number,
): { readonly source: TensorSource; read(): Uint8Array } {
  const source = typedPart(tensors, `${name}_zero_point`, ['I32', 'I8']);
  if (source.dtype === 'I8') {
    if (sizeOf(source.shape) !== sizeOf(scale.shape))
      throw partsError(
        source.name,
        `[${source.shape.join(', ')}], expected [${scale.shape.join(', ')}]`,
      );
    return { source, read: () => unsigned(source.name, source.read(), bits) };
  }
  const [rows = 1, groups = 1] = scale.shape;
  const shape = [wordsOf(rows, bits), groups];
  if (source.shape.join() !== shape.join())
    throw partsError(source.name, `[${source.shape.join(', ')}], expected [${shape.join(', ')}]`);
  return {
    source,
    read() {
      const words = asWords(source.read());
      return Uint8Array.from({ length: rows * groups }, (_, place) =>
        bitField(words, bits, Math.floor(place / groups), place % groups, groups),
      );
    },
  };
}
