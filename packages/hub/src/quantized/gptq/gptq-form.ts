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
    codeAt: (words, k, o, outputs) => columnField(words, bits, k, o, outputs),
    // AutoGPTQ adds 1 within the bits, so that a zero point of 0 comes back
    zeroAt: (words, start, o) =>
      (bitField(words.subarray(start), bits, o) + offset) & ((1 << bits) - 1),
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

/** {@link bitField} of a column of words. */
function columnField(
  words: Uint32Array,
  bits: number,
  index: number,
  column: number,
  columns: number,
): number {
  const place = index * bits;
  const shift = place & 31;
  const word = (place >>> 5) * columns + column;
  const low = words[word]! >>> shift;
  const high = shift + bits > 32 ? words[word + columns]! << (32 - shift) : 0;
  return (low | high) & ((1 << bits) - 1);
}
