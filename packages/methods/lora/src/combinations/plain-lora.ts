/**
 * PiSSA and OLoRA as ordinary LoRA: an adapter of twice the rank for the untouched base weight.
 * With A₀, B₀ the start values, whose product was taken out of W,
 *
 *   (W − s·B₀·A₀) + s·B·A = W + s·B'·A'        A' = [A; A₀] `[2r, in]`, B' = [B, −B₀] `[out, 2r]`
 *
 * Such an adapter goes with others on one base, and is loaded without decomposing anything.
 */
import * as tf from '@tensorflow/tfjs';
import {
  saveAdapter,
  type Adapter,
  type MethodPart,
  type Model,
  type OwnedParameter,
  type SaveAdapterOptions,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import type { LoraConfig } from '../lora-config.js';
import { loraInitializer } from '../variants/lora-init.js';
import { doubledConfig } from '../variants/subtracted-start.js';
import { startOf } from '../variants/lora-linear.js';
import { takenOver } from './base-parameters.js';

/**
 * Puts an adapter that took its start out of the base weights on the model once more, as ordinary
 * LoRA of twice the rank and under a name of its own; it is the active one then, and computes the
 * same. Biases, whole modules and DoRA's lengths are copied.
 *
 * @throws PEFT_LORA_PLAIN when it is ordinary already, or was started otherwise (LoftQ).
 * @throws what `model.addAdapter` throws
 */
export function toPlainLora(model: Model, adapterName: string, newName: string): Adapter {
  const adapter = model.adapter(adapterName);
  const parts = adapter.spec.parts.map((part) =>
    part.method.name === 'lora' ? doubled(part, adapterName) : part,
  );
  const files = [...adapter.parameters.values()].filter(({ method }) => method === 'file');
  const made = model.addAdapter(
    newName,
    { ...adapter.spec, parts },
    { strict: false, ...takenOver(files) },
  );
  for (const target of made.parameters.values()) {
    const source = adapter.parameters.get(target.name);
    if (source && (target.saved || target.origin === 'unfrozen'))
      tf.tidy(() => target.value.assign(plainValue(target, source, adapter)));
  }
  return made;
}

/**
 * Writes an adapter that took its start out of the base weights as {@link toPlainLora} has it:
 * PEFT's `path_initial_model_for_weight_conversion`. The model stays as it is.
 *
 * @throws PEFT_LORA_PLAIN, PEFT_ADAPTER_UNTRAINED, and what `saveAdapter` throws
 */
export async function savePlainLora(
  model: Model,
  adapterName: string,
  folder: string,
  options: SaveAdapterOptions = {},
): Promise<void> {
  const active = model.activeAdapters;
  if (
    !options.allowUntrained &&
    ![...model.adapter(adapterName).parameters.values()].some(
      (parameter) => parameter.saved && parameter.hasChanged(),
    )
  ) {
    throw new PeftError(
      'PEFT_ADAPTER_UNTRAINED',
      `adapter "${adapterName}" was never trained: as ordinary LoRA it is zero.`,
      { hint: 'train it first, or pass allowUntrained: true' },
    );
  }
  const plain = toPlainLora(model, adapterName, `${adapterName}-plain`);
  try {
    await saveAdapter(model, plain.name, folder, options);
  } finally {
    model.deleteAdapter(plain.name);
    model.setActiveAdapters(...active);
  }
}

function doubled(part: MethodPart, name: string): MethodPart {
  const config = part.config as LoraConfig;
  if (!loraInitializer(config.init).takesOver) {
    throw new PeftError(
      'PEFT_LORA_PLAIN',
      `adapter "${name}" did not take its start values out of the base weights (init ` +
        `${JSON.stringify(loraInitializer(config.init).name)}).`,
      { hint: 'PiSSA and OLoRA do; save any other with saveAdapter' },
    );
  }
  const plain = doubledConfig(config);
  return Object.freeze({ ...part, config: plain as never }); // LoRA's own, as `part` is
}

function plainValue(target: OwnedParameter, source: OwnedParameter, adapter: Adapter): tf.Tensor {
  const factor = /\.lora_(embedding_)?([AB])(\.weight)?$/.exec(target.name)?.[2];
  if (factor === undefined) return tf.clone(source.value);
  const [rows, columns] = source.shape as [number, number];
  const start = startOf(
    adapter.parameters.get(target.name.replace(/lora_B\.weight$/, 'lora_A.weight')),
  );
  const values = factor === 'A' ? start?.a : start?.b;
  const taken = values
    ? tf.tensor2d(values, [rows, columns])
    : tf.zeros<tf.Rank.R2>([rows, columns]); // an embedding takes nothing over
  return factor === 'A'
    ? tf.concat([source.value, taken], 0)
    : tf.concat([source.value, tf.neg(taken)], 1);
}
