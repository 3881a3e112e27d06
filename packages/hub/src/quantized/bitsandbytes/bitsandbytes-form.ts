/** `quant_method: bitsandbytes`: NF4, FP4 and LLM.int8(). */
import type { FormReader, QuantizedForm } from '../quantized-form.js';
import { asksFor, readBitsAndBytes } from './quantization-config.js';
import { quantizedWeight } from './quantized-weight.js';

/** Of 4-bit weights below the weight's own name, of int8 weights below the module's. */
const PART =
  /\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__\w+|SCB|weight_format)$/;

export const bitsAndBytesForm = Object.freeze<QuantizedForm>({
  method: 'bitsandbytes',
  // early files do not name it
  isUnnamed: (settings) => asksFor(settings, '4bit') || asksFor(settings, '8bit'),
  read: (settings): FormReader => ({
    inMemory: readBitsAndBytes(settings),
    weightName: (stored) => (PART.test(stored) ? undefined : stored),
    weight: quantizedWeight,
  }),
});
