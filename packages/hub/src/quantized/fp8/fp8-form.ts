/**
 * `quant_method: fp8`, as DeepSeek-V3 and Qwen3 have it: 8-bit floats, and beside `x.weight` its
 * `x.weight_scale_inv`, a factor of each block of 128 × 128 values, or of each row, or of all.
 * Activations stay as they are here, so that what a config says of theirs does not matter.
 */
import type { FormSettings } from '../form-settings.js';
import { partsError } from '../parts-error.js';
import type { FormReader, QuantizedForm, StoredTensors } from '../quantized-form.js';
import { isFloat8, scaledFloats, type BlockShape } from './scaled-floats.js';

/** The second is how vLLM's own quantiser named it. */
const SCALES = ['weight_scale_inv', 'weight_scale'] as const;
const PART = /[._](weight_scale(_inv)?|scale_inv|activation_scale|input_scale)$/;

export const fp8Form = Object.freeze<QuantizedForm>({ method: 'fp8', read: readFp8 });

function readFp8(settings: FormSettings): FormReader {
  settings.oneOf('fmt', ['e4m3', 'e5m2'], 'e4m3');
  settings.oneOf('scale_fmt', ['float', 'ue8m0'], 'float');
  const blockShape = blockShapeOf(settings);
  return {
    inMemory: {
      format: 'bf16',
      doubleQuantization: false,
      skipModules: [
        ...settings.modules('modules_to_not_convert'),
        ...settings.modules('ignored_layers'),
      ],
    },
    weightName: (stored) => (PART.test(stored) ? undefined : stored),
    weight(tensors, name) {
      const source = tensors.get(name);
      if (!source) return undefined;
      const scale = scaleOf(tensors, name);
      if (!isFloat8(source.dtype)) {
        if (!scale) return undefined;
        throw partsError(name, `it has ${scale.name} and is ${source.dtype}, not an 8-bit float`);
      }
      if (!scale) throw partsError(`${name}_scale_inv`, 'it is missing');
      return { dense: scaledFloats(source, scale, blockShape) };
    },
  };
}

function scaleOf(tensors: StoredTensors, name: string) {
  if (!name.endsWith('.weight')) return tensors.get(`${name}_scale_inv`);
  const module = name.slice(0, -'weight'.length);
  return SCALES.map((suffix) => tensors.get(`${module}${suffix}`)).find((found) => found);
}

/** transformers' default where it is absent. */
const BLOCK_SHAPE: BlockShape = [128, 128];

function blockShapeOf(settings: FormSettings): BlockShape {
  const given = settings.value('weight_block_size');
  if (given === undefined) return BLOCK_SHAPE;
  return Array.isArray(given) && given.length === 2 && given.every(isBlockSide)
    ? (given as unknown as BlockShape)
    : settings.refuse('weight_block_size', given, 'two positive integers');
}

const isBlockSide = (side: unknown): boolean => Number.isSafeInteger(side) && (side as number) > 0;
