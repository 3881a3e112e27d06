/** `quantization_config` of a config.json: what a quantised checkpoint says about itself. */
import { PeftError } from '@peft/errors';
import type { FormSettings } from '../form-settings.js';

/** What bitsandbytes was asked to do, in its own words where they reach further than ours. */
export interface BitsAndBytesConfig {
  readonly format: 'nf4' | 'fp4' | 'int8';
  /** The block maxima are quantised, too. */
  readonly doubleQuantization: boolean;
  /** Modules that were left as they are; empty when the config names none. */
  readonly skipModules: readonly string[];
}

/** @throws PEFT_QUANTIZATION_CONFIG when it makes no sense. */
export function readBitsAndBytes(settings: FormSettings): BitsAndBytesConfig {
  const isFourBit = asksFor(settings, '4bit');
  const isEightBit = asksFor(settings, '8bit');
  if (isFourBit === isEightBit)
    throw new PeftError(
      'PEFT_QUANTIZATION_CONFIG',
      'hub: quantization_config asks for ' +
        `${isFourBit ? 'both load_in_4bit and load_in_8bit' : 'neither load_in_4bit nor load_in_8bit'}.`,
    );
  const type = isFourBit
    ? settings.oneOf('bnb_4bit_quant_type', ['nf4', 'fp4'], 'fp4') // bitsandbytes' default
    : 'int8';
  return {
    format: type,
    doubleQuantization: isFourBit && settings.flag('bnb_4bit_use_double_quant'),
    skipModules: settings.modules('llm_int8_skip_modules'),
  };
}

export const asksFor = (settings: FormSettings, bits: '4bit' | '8bit'): boolean =>
  settings.flag(`load_in_${bits}`) || settings.flag(`_load_in_${bits}`);

/**
 * `quantization_config` as transformers writes it beside a checkpoint in bitsandbytes' layout.
 *
 * @param computeDtype a torch name without `torch.`, `float32` or `bfloat16`.
 */
export function bitsAndBytesConfigJson(
  config: BitsAndBytesConfig,
  computeDtype: string,
): Readonly<Record<string, unknown>> {
  const isEightBit = config.format === 'int8';
  return {
    _load_in_4bit: !isEightBit,
    _load_in_8bit: isEightBit,
    bnb_4bit_compute_dtype: computeDtype,
    bnb_4bit_quant_storage: 'uint8',
    bnb_4bit_quant_type: isEightBit ? 'fp4' : config.format, // bitsandbytes' default stands there in 8 bits
    bnb_4bit_use_double_quant: config.doubleQuantization,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: config.skipModules.length ? [...config.skipModules] : null,
    llm_int8_threshold: 6.0,
    load_in_4bit: !isEightBit,
    load_in_8bit: isEightBit,
    quant_method: 'bitsandbytes',
  };
}
