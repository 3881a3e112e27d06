/** What an adapter's config says beyond y += s·B·A·x. */
import { join } from 'node:path';
import type { Adapter } from '@peft/core';
import { readJsonObject, type JsonObject } from '@peft/hub';
import type { TrainedModel } from '@peft/predictor';
import { unsupported } from '../formats/unsupported.js';

const MERGE = 'merge it: --to gguf, or peft merge';

/** An adapter that leaves without its base. */
export interface PlainLora {
  /** On the model. */
  readonly name: string;
  readonly folder: string;
  /** `adapter_config.json`. */
  readonly config: JsonObject;
}

/**
 * The adapter of a model, which is LoRA and nothing else, and stands on no other one.
 * @param target that has no more.
 * @throws PEFT_EXPORT_UNSUPPORTED naming the first thing that is more
 */
export function plainLoraOf(target: string, source: TrainedModel): PlainLora {
  const { adapter, folder } = soleAdapter(target, source);
  const config = readJsonObject(join(folder, 'adapter_config.json')) ?? {};
  const [reason] = moreThanLora(config);
  if (reason !== undefined) throw unsupported(target, `takes plain LoRA: ${reason}`, MERGE);
  return { name: adapter.name, folder, config };
}

/**
 * The adapter of a model that stands on no other one, and where it lies.
 * @throws PEFT_EXPORT_UNSUPPORTED
 */
export function soleAdapter(
  target: string,
  { model, adapterFolder }: TrainedModel,
): { readonly adapter: Adapter; readonly folder: string } {
  const [name, ...others] = model.activeAdapters;
  if (adapterFolder === undefined || name === undefined)
    throw unsupported(target, 'needs an adapter', 'name one with --adapter, or export the model');
  if (others.length > 0)
    throw unsupported(target, 'takes one adapter, and this one stands on another', MERGE);
  return { adapter: model.adapter(name), folder: adapterFolder };
}

/** What an adapter has that plain LoRA does not; empty where it is plain LoRA. */
export function moreThanLora(config: JsonObject): string[] {
  const type = config['peft_type'];
  if (type !== 'LORA')
    return [`the adapter is ${String(type ?? config['config_class'] ?? 'of another kind')}`];
  const start = config['init_lora_weights'];
  const takesOver =
    typeof start === 'string' && /^(pissa|olora|loftq|corda|eva|lora_ga)/.test(start);
  const isSet = (key: string): boolean => {
    const value = config[key];
    if (value === undefined || value === null || value === false) return false;
    return typeof value !== 'object' || Object.keys(value).length > 0;
  };
  return [
    ...(isSet('velora_config') ? ['it holds projections of VeLoRA (velora_config)'] : []),
    ...(isSet('layer_replication') ? ['it repeats blocks (layer_replication)'] : []),
    ...(isSet('use_dora') ? ['the adapter is DoRA (use_dora)'] : []),
    ...(isSet('lora_bias') ? ['B has a bias (lora_bias)'] : []),
    ...(config['bias'] !== undefined && config['bias'] !== 'none'
      ? [`biases were trained (bias: ${String(config['bias'])})`]
      : []),
    ...(isSet('modules_to_save') ? ['whole modules were trained (modules_to_save)'] : []),
    ...(isSet('trainable_token_indices')
      ? ['rows of the embedding were trained (trainable_token_indices)']
      : []),
    ...(takesOver ? [`the base changes with it (init_lora_weights: ${start})`] : []),
    ...(isSet('alora_invocation_tokens') ? ['it begins at an invocation (aLoRA)'] : []),
  ];
}

/** s of a module: α/r, or α/√r with `use_rslora`; `alpha_pattern` names modules of their own. */
export function scalingOf(config: JsonObject, path: string, rank: number): number {
  const patterns = Object.entries((config['alpha_pattern'] ?? {}) as Record<string, number>);
  const own = patterns.find(([pattern]) => new RegExp(`^(.*\\.)?(${pattern})$`).test(path));
  const alpha = own?.[1] ?? Number(config['lora_alpha'] ?? 8);
  return alpha / (config['use_rslora'] === true ? Math.sqrt(rank) : rank);
}
