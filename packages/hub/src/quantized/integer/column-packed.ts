/**
 * Weights that GPTQ and AWQ store turned: `qweight` holds codes of `[in, out]`, `scales [groups,
 * out]` and `qzeros [groups, out·bits/32]` those of each group of inputs.
 */
import { finiteValues, shapedPart, typedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { QuantizedWeight, StoredTensors } from '../quantized-form.js';
import { asWords, wordsOf } from './bit-fields.js';
import { columnGroups } from './column-groups.js';
import { decodedDtype, groupedWeight } from './grouped-codes.js';

/** How a form packs. */
export interface ColumnPacking {
  readonly bits: number;
  /** Inputs that share a scale; undefined: all. */
  readonly groupSize: number | undefined;
  /** Sizes of the weight whose `qweight` has this shape. */
  sizesOf(shape: readonly [number, number]): ColumnSizes;
  /** `[count, inputs]` of the outputs from `first` on. */
  codes(words: Uint32Array, sizes: ColumnSizes, first: number, count: number): Uint8Array;
  /** The same of four bits, two a byte, the first one in its high half; inputs are even. */
  nibbles?(words: Uint32Array, sizes: ColumnSizes, first: number, count: number): Uint8Array;
  /** Zero point of output o in the group whose words of `qzeros` begin at `start`. */
  zeroAt(words: Uint32Array, start: number, o: number): number;
}

export interface ColumnSizes {
  readonly inputs: number;
  readonly outputs: number;
}

const WEIGHT = /\.weight$/;
const PART = /\.(qzeros|scales|g_idx)$/;

export const columnPackedName = (stored: string): string | undefined =>
  PART.test(stored) ? undefined : stored.replace(/\.qweight$/, '.weight');

/** @throws PEFT_QUANTIZED_PARTS */
export function columnPackedWeight(
  tensors: StoredTensors,
  name: string,
  packing: ColumnPacking,
): QuantizedWeight | undefined {
  if (!WEIGHT.test(name)) return undefined;
  const module = name.replace(WEIGHT, '');
  if (!tensors.get(`${module}.qweight`)) return undefined;
  const packed = typedPart(tensors, `${module}.qweight`, ['I32']);
  if (packed.shape.length !== 2)
    throw partsError(packed.name, `it has two axes, got [${packed.shape.join(', ')}]`);
  const sizes = packing.sizesOf(packed.shape as [number, number]);
  const { inputs, outputs } = sizes;
  const { bits, groupSize = inputs } = packing;
  if (inputs === 0 || outputs === 0 || wordsOf(outputs, bits) * 32 !== outputs * bits)
    throw partsError(
      packed.name,
      `[${packed.shape.join(', ')}] holds no whole words of ${bits} bits`,
    );
  const groups = Math.ceil(inputs / groupSize);
  const scales = shapedPart(tensors, `${module}.scales`, ['F16', 'BF16', 'F32'], [groups, outputs]);
  const zeroWords = wordsOf(outputs, bits);
  const zeros = shapedPart(tensors, `${module}.qzeros`, ['I32'], [groups, zeroWords]);
  const groupOfColumn = columnGroups(tensors, `${module}.g_idx`, inputs, groups);
  if (!groupOfColumn && inputs % groupSize !== 0)
    throw partsError(
      packed.name,
      `its ${inputs} inputs are no multiple of the groups of ${groupSize}`,
    );
  return groupedWeight({
    name,
    shape: [outputs, inputs],
    bits,
    isSymmetric: false,
    groups,
    groupOfColumn,
    dtype: decodedDtype(scales),
    byteLength: packed.byteLength + scales.byteLength + zeros.byteLength,
    open() {
      const words = asWords(packed.read());
      const stored = finiteValues(scales);
      const points = asWords(zeros.read());
      const turned = {
        scales: new Float32Array(outputs * groups),
        zeros: new Uint8Array(outputs * groups),
      };
      for (let group = 0; group < groups; group += 1)
        for (let o = 0; o < outputs; o += 1) {
          turned.scales[o * groups + group] = stored[group * outputs + o]!;
          turned.zeros[o * groups + group] = packing.zeroAt(points, group * zeroWords, o);
        }
      return {
        ...turned,
        codes: (first, count) => packing.codes(words, sizes, first, count),
        nibbles:
          packing.nibbles && ((first, count) => packing.nibbles!(words, sizes, first, count)),
      };
    },
  });
}
