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
  sizesOf(shape: readonly [number, number]): { readonly inputs: number; readonly outputs: number };
  /** Code of input k and output o. */
  codeAt(words: Uint32Array, k: number, o: number, outputs: number): number;
  /** Zero point of output o in a group whose words of `qzeros` begin at `start`. */
  zeroAt(words: Uint32Array, start: number, o: number): number;
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
  const { inputs, outputs } = packing.sizesOf(packed.shape as [number, number]);
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
    read(first, count) {
      const words = asWords(packed.read());
      const codes = new Uint8Array(count * inputs);
      for (let k = 0; k < inputs; k += 1)
        for (let row = 0; row < count; row += 1)
          codes[row * inputs + k] = packing.codeAt(words, k, first + row, outputs);
      const stored = finiteValues(scales);
      const points = asWords(zeros.read());
      const at = (place: number) => ({
        output: first + Math.floor(place / groups),
        group: place % groups,
      });
      return {
        codes,
        scales: Float32Array.from({ length: count * groups }, (_, place) => {
          const { output, group } = at(place);
          return stored[group * outputs + output]!;
        }),
        zeros: Uint8Array.from({ length: count * groups }, (_, place) => {
          const { output, group } = at(place);
          return packing.zeroAt(points, group * zeroWords, output);
        }),
      };
    },
  });
}
