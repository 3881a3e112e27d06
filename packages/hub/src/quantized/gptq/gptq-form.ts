/**
 * `quant_method: gptq` (Frantar et al. 2023), as AutoGPTQ and GPTQModel store it: `qweight [in·bits/32,
 * out]`, the codes of an output one behind the other along its inputs. The first layout has zero
 * points less one, `checkpoint_format: gptq_v2` has them as they are.
 */
import { show } from '@peft/errors';
import { unreadForm, type FormSettings } from '../form-settings.js';
import { bitField } from '../integer/bit-fields.js';
import {
  columnPackedName,
  columnPackedWeight,
  type ColumnPacking,
} from '../integer/column-packed.js';
import { swappedNibbles, turnedWords, wordCodes } from '../integer/word-codes.js';
import { groupSizeOf, integerForm } from '../integer/integer-settings.js';
import type { FormReader, QuantizedForm } from '../quantized-form.js';

export const gptqForm = Object.freeze<QuantizedForm>({ method: 'gptq', read: readGptq });

function readGptq(settings: FormSettings): FormReader {
  const bits = settings.integer('bits', undefined, '2, 3, 4 or 8', (value) =>
    [2, 3, 4, 8].includes(value),
  );
  const groupSize = groupSizeOf(settings, 'group_size', 128);
  const layout = settings.value('checkpoint_format') ?? settings.value('format') ?? 'gptq';
  if (layout !== 'gptq' && layout !== 'gptq_v2')
    throw unreadForm(`gptq in the layout ${show(layout)}`, 'gptq and gptq_v2 are');
  const offset = layout === 'gptq' ? 1 : 0;
  const packing: ColumnPacking = {
    bits,
    groupSize,
    sizesOf: ([words, outputs]) => ({ inputs: Math.floor((words * 32) / bits), outputs }),
    codes(words, { inputs, outputs }, first, count) {
      if (bits !== 3)
        return wordCodes(turnedWords(words, (inputs * bits) / 32, outputs, first, count), bits);
      const codes = new Uint8Array(count * inputs);
      for (let k = 0; k < inputs; k += 1)
        for (let row = 0; row < count; row += 1)
          codes[row * inputs + k] = bitField(words, bits, k, first + row, outputs);
      return codes;
    },
    nibbles:
      bits === 4
        ? (words, { inputs, outputs }, first, count) =>
            swappedNibbles(turnedWords(words, inputs / 8, outputs, first, count))
        : undefined,
    // AutoGPTQ adds 1 within the bits, so that a zero point of 0 comes back
    zeroAt: (words, start, o) => (bitField(words, bits, o, start) + offset) & ((1 << bits) - 1),
  };
  return {
    // the order of activations mixes the groups of a row
    inMemory: integerForm(
      bits,
      settings.flag('desc_act') ? 1 : groupSize,
      settings.modules('modules_to_not_convert'),
    ),
    weightName: columnPackedName,
    weight: (tensors, name) => columnPackedWeight(tensors, name, packing),
  };
}
