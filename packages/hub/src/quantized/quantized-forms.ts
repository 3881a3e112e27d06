/** The forms that are read. */
import { show } from '@peft/errors';
import { awqForm } from './awq/awq-form.js';
import { bitsAndBytesForm } from './bitsandbytes/bitsandbytes-form.js';
import { compressedTensorsForm } from './compressed-tensors/compressed-tensors-form.js';
import { formSettings, unreadForm } from './form-settings.js';
import { fp8Form } from './fp8/fp8-form.js';
import { gptqForm } from './gptq/gptq-form.js';
import { hqqForm } from './hqq/hqq-form.js';
import { mxfp4Form } from './mxfp4/mxfp4-form.js';
import type { FormReader, QuantizedForm, StoredForm } from './quantized-form.js';
import { torchaoForm } from './torchao/torchao-form.js';

/** Ways of storing quantised weights that are read, by `quant_method`. */
export const QUANTIZED_FORMS: readonly QuantizedForm[] = Object.freeze([
  bitsAndBytesForm,
  fp8Form,
  mxfp4Form,
  gptqForm,
  awqForm,
  compressedTensorsForm,
  hqqForm,
  torchaoForm,
]);

/**
 * Reads `config.json`'s `quantization_config`.
 *
 * @param json `undefined` or null for a checkpoint that is not quantised.
 * @returns `undefined` then.
 * @throws PEFT_QUANTIZATION_METHOD for a method that is not read; PEFT_QUANTIZATION_CONFIG when it
 *   makes no sense.
 */
export function readForm(json: unknown): FormReader | undefined {
  if (json === undefined || json === null) return undefined;
  const settings = formSettings(json);
  const method = settings.value('quant_method');
  const form = QUANTIZED_FORMS.find((each) =>
    method === undefined ? each.isUnnamed?.(settings) : each.method === method,
  );
  if (!form)
    throw unreadForm(
      show(method ?? 'no named method'),
      `${QUANTIZED_FORMS.map((each) => each.method).join(', ')} are`,
    );
  return form.read(settings);
}

/**
 * What the linear maps of a quantised checkpoint are in memory.
 *
 * @param json config.json's `quantization_config`
 * @throws what {@link readForm} throws
 */
export const storedForm = (json: unknown): StoredForm | undefined => readForm(json)?.inMemory;
