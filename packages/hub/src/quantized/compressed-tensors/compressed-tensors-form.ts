/**
 * `quant_method: compressed-tensors` (llm-compressor, vLLM): weights whose scales stand beside them as
 * `x.weight_scale`. Integers of 4 bits are packed along a row, `x.weight_packed [out, in/8]`, with half
 * their range added; those of 8 bits are packed likewise or plain, 8-bit floats plain. Activations
 * stay as they are here, whatever the scheme says of theirs.
 */
import type { FormSettings } from '../form-settings.js';
import { isFloat8, scaledFloats } from '../fp8/scaled-floats.js';
import { integerForm } from '../integer/integer-settings.js';
import { partsError } from '../parts-error.js';
import { typedPart } from '../parts.js';
import type { FormReader, QuantizedForm } from '../quantized-form.js';
import { integerWeight } from './integer-weight.js';
import { readScheme } from './scheme.js';

const PART =
  /\.(weight_(scale|zero_point|shape|g_idx)|(input|output|k|v|q)_(scale|zero_point|global_scale))$/;
const SCALE_TYPES = ['F32', 'F16', 'BF16'] as const;

export const compressedTensorsForm = Object.freeze<QuantizedForm>({
  method: 'compressed-tensors',
  read: readCompressedTensors,
});

function readCompressedTensors(settings: FormSettings): FormReader {
  const scheme = readScheme(settings);
  const skipModules = settings.modules('ignore');
  const isRows = scheme.type === 'int' && scheme.bits === 8 && scheme.groupSize === undefined;
  return {
    inMemory:
      scheme.type === 'int' && !isRows
        ? integerForm(scheme.bits, scheme.groupSize, skipModules)
        : {
            format: isRows && scheme.isSymmetric ? 'int8' : 'bf16',
            doubleQuantization: false,
            skipModules,
          },
    weightName: (stored) =>
      PART.test(stored) ? undefined : stored.replace(/\.weight_packed$/, '.weight'),
    weight(tensors, name) {
      if (!name.endsWith('.weight')) return undefined;
      const source = tensors.get(`${name}_packed`) ?? tensors.get(name);
      const isScaled = tensors.get(`${name}_scale`) !== undefined;
      if (!source || (!isScaled && source.name === name && /^(F32|F16|BF16)$/.test(source.dtype)))
        return undefined;
      const scale = typedPart(tensors, `${name}_scale`, SCALE_TYPES);
      if (scheme.type === 'int') return integerWeight(tensors, name, scale, scheme);
      if (!isFloat8(source.dtype))
        throw partsError(name, `it has ${scale.name} and is ${source.dtype}, not an 8-bit float`);
      return { dense: scaledFloats(source, scale, scheme.blockShape) };
    },
  };
}
