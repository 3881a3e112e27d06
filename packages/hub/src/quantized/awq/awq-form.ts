/**
 * `quant_method: awq` (Lin et al. 2024), AutoAWQ's GEMM layout: `qweight [in, out/8]`, eight outputs a
 * word, in the order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest four bits on.
 */
import { show } from '@peft/errors';
import { unreadForm, type FormSettings } from '../form-settings.js';
import {
  columnPackedName,
  columnPackedWeight,
  type ColumnPacking,
} from '../integer/column-packed.js';
import { groupSizeOf, integerForm } from '../integer/integer-settings.js';
import type { FormReader, QuantizedForm } from '../quantized-form.js';

/** Where each of eight outputs lies in its word. */
const PLACE = [0, 4, 1, 5, 2, 6, 3, 7] as const;

export const awqForm = Object.freeze<QuantizedForm>({ method: 'awq', read: readAwq });

function readAwq(settings: FormSettings): FormReader {
  const version = settings.value('version') ?? settings.value('format') ?? 'gemm';
  if (typeof version !== 'string' || version.toLowerCase() !== 'gemm')
    throw unreadForm(`awq in the version ${show(version)}`, 'gemm is');
  const bits = settings.integer('bits', 4, '4', (value) => value === 4);
  const packing: ColumnPacking = {
    bits,
    groupSize: groupSizeOf(settings, 'group_size', 128),
    sizesOf: ([inputs, words]) => ({ inputs, outputs: words * 8 }),
    codes(words, { inputs, outputs }, first, count) {
      const codes = new Uint8Array(count * inputs);
      for (let row = 0; row < count; row += 1) {
        const [line, output] = [row * inputs, first + row];
        const shift = shiftOf(output);
        for (let k = 0, word = output >> 3; k < inputs; k += 1, word += outputs / 8)
          codes[line + k] = (words[word]! >>> shift) & 15;
      }
      return codes;
    },
    nibbles(words, { inputs, outputs }, first, count) {
      const stride = outputs / 8;
      const packed = new Uint8Array((count * inputs) / 2);
      for (let row = 0; row < count; row += 1) {
        const [line, output] = [(row * inputs) / 2, first + row];
        const shift = shiftOf(output);
        for (let k = 0, word = output >> 3; k < inputs / 2; k += 1, word += 2 * stride)
          packed[line + k] =
            (((words[word]! >>> shift) & 15) << 4) | ((words[word + stride]! >>> shift) & 15);
      }
      return packed;
    },
    zeroAt: nibble,
  };
  return {
    inMemory: integerForm(bits, packing.groupSize, settings.modules('modules_to_not_convert')),
    weightName: columnPackedName,
    weight: (tensors, name) => columnPackedWeight(tensors, name, packing),
  };
}

/** Of the outputs whose words begin at `start`. */
const nibble = (words: Uint32Array, start: number, output: number): number =>
  (words[start + (output >> 3)]! >>> shiftOf(output)) & 15;

const shiftOf = (output: number): number => 4 * PLACE[output & 7]!;
