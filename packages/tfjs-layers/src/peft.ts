/** The door: a method on a tfjs layers model. */
import type { LayersModel } from '@tensorflow/tfjs';
import type { FittingSpec, MethodSpec, SiteKind } from '@peft/core';
import { PeftLayers, type LayerKind, type PeftLayersOptions } from './peft-layers.js';

/**
 * Puts a method on a layers model, in place: its own weights are frozen, and `model.fit`, `predict`
 * and `evaluate` go on working with the adapter in them. A model that was compiled stays compiled,
 * with a fresh optimiser of the same settings.
 *
 * @returns what merges, saves and takes off the adapter; the caller disposes it.
 * A method that has nothing to stand on in any layers model (virtual tokens, say) does not compile.
 *
 * @throws PEFT_LAYERS_NOT_BUILT, PEFT_TARGET_NOT_FOUND, PEFT_METHOD_UNSUPPORTED; the model is as
 *   before then.
 */
export function peft<Kinds extends SiteKind>(
  model: LayersModel,
  method: MethodSpec<Kinds> & FittingSpec<Kinds, LayerKind>,
  options: PeftLayersOptions & { readonly name?: string; readonly seed?: number } = {},
): PeftLayers {
  const { name = 'default', seed = 0, ...rest } = options;
  const layers = new PeftLayers(model, rest);
  try {
    layers.addAdapter(name, method, { seed });
    return layers;
  } catch (error) {
    layers.dispose();
    throw error;
  }
}
