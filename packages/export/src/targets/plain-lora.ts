/** What an adapter's config says beyond y += s·B·A·x. */
import type { JsonObject } from '@peft/hub';
import { unsupported } from '../formats/unsupported.js';

/**
 * That an adapter is LoRA and nothing else.
 * @param target that has no more.
 * @throws PEFT_EXPORT_UNSUPPORTED naming the first option that is more
 */
export function checkPlainLora(target: string, config: JsonObject): void {
  const reason = moreThanLora(config)[0];
  if (reason !== undefined)
    throw unsupported(target, `takes plain LoRA: ${reason}`, 'merge it: --to gguf, or peft merge');
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
