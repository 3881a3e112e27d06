/**
 * `quant_method: hqq` (Badri & Shaji 2023), as hqq 0.2 encodes its layers for safetensors: beside the
 * codes `x.W_q` stands all that a layer was quantised with, each setting a tensor of its own, so that
 * layers may differ. Scales and zero points are floats: w = (code − zero)·scale, each step rounded to
 * the layer's type.
 */
import { show } from '@peft/errors';
import { unreadForm, type FormSettings } from '../form-settings.js';
import type { FormReader, QuantizedForm } from '../quantized-form.js';
import { hqqWeight } from './hqq-weight.js';

const CODES = /\.W_q$/;
const PARTS = new Set([
  'nbits',
  'group_size',
  'shape',
  'scale',
  'zero',
  'axis',
  'packing',
  'unpack_view_dtype',
  'view_as_float',
  'quant_scale',
  'quant_zero',
  'compute_dtype',
  'offload_meta',
  'encoded_state_dict',
  'stores_quant_config',
  'channel_wise',
  'optimize',
  'round_zero',
]);

export const hqqForm = Object.freeze<QuantizedForm>({ method: 'hqq', read: readHqq });

function readHqq(settings: FormSettings): FormReader {
  refuseQuantizedScales(settings);
  return {
    inMemory: {
      format: 'bf16',
      doubleQuantization: false,
      skipModules: settings.modules('skip_modules'),
    },
    weightName: (stored) =>
      PARTS.has(stored.slice(stored.lastIndexOf('.') + 1))
        ? undefined
        : stored.replace(CODES, '.weight'),
    weight(tensors, name) {
      if (!name.endsWith('.weight')) return undefined;
      const module = name.slice(0, -'.weight'.length);
      const isPacked = tensors.get(`${module}.W_q`) ?? tensors.get(`${module}.packing`);
      return isPacked && hqqWeight(tensors, module);
    },
  };
}

/** One for all layers, or one for each kind of layer by its name. */
function refuseQuantizedScales(settings: FormSettings): void {
  const given = settings.value('quant_config') ?? {};
  if (typeof given !== 'object' || Array.isArray(given))
    settings.refuse('quant_config', given, 'an object');
  type Fields = Readonly<Record<string, unknown>> | undefined;
  for (const each of [given as Fields, ...Object.values(given as Record<string, Fields>)])
    for (const field of ['scale_quant_params', 'zero_quant_params'])
      if (each?.[field])
        throw unreadForm(
          `hqq with ${field} ${show(each[field])}`,
          'hqq with plain scales and zero points is',
        );
}
