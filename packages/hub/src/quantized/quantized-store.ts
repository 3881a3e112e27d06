/** A checkpoint whose weights are found by their names, however they are stored. */
import type { TensorSource } from '@peft/ops';
import { partsError } from './parts-error.js';
import type { QuantizedSource, QuantizedWeight, StoredTensors } from './quantized-form.js';
import { readForm } from './quantized-forms.js';

/** Tensors by the names that a plain checkpoint has. */
export interface QuantizedStore extends StoredTensors {
  /**
   * For engines that hold the weight packed; `get` gives its values.
   * @param index of an entry of its first axis; default: all of it
   */
  quantized(name: string, index?: number): QuantizedSource | undefined;
}

/**
 * The store with its quantised weights.
 *
 * @param quantizationConfig `quantization_config` of config.json; without one the store is returned
 *   as it is.
 * @throws PEFT_QUANTIZATION_METHOD, PEFT_QUANTIZATION_CONFIG; PEFT_QUANTIZED_PARTS for scaled 8-bit
 *   floats without a config. `get` and `quantized` throw PEFT_QUANTIZED_PARTS for parts that are
 *   missing or do not fit together.
 */
export function quantizedStore<S extends StoredTensors>(
  store: S,
  quantizationConfig: unknown,
): S | QuantizedStore {
  const form = readForm(quantizationConfig);
  if (!form) return unscaled(store);
  const weights = new Map<string, QuantizedWeight | undefined>();
  const weight = (name: string): QuantizedWeight | undefined => {
    if (!weights.has(name)) weights.set(name, form.weight(store, name));
    return weights.get(name);
  };
  return {
    names: () => [...store.names()].flatMap((stored) => form.weightName(stored) ?? []),
    get: (name): TensorSource | undefined => weight(name)?.dense ?? store.get(name),
    quantized: (name, index) =>
      index === undefined ? weight(name)?.packed : weight(name)?.packedEntry?.(index),
  };
}

/** Without their scales, 8-bit floats would be other weights. */
function unscaled<S extends StoredTensors>(store: S): S {
  for (const name of store.names()) {
    const scale = /^(.*)(_scale_inv|\.weight_scale)$/.exec(name);
    const weight = scale && (store.get(scale[1]!) ?? store.get(`${scale[1]!}.weight`));
    if (weight?.dtype.startsWith('F8_'))
      throw partsError(
        weight.name,
        `it is ${weight.dtype} and has ${name}, and config.json has no quantization_config`,
      );
  }
  return store;
}
