/** `quantization_config` of a config.json: what a quantised checkpoint says about itself. */
import { PeftError, show } from '@peft/errors';

/** What bitsandbytes was asked to do, in its own words where they reach further than ours. */
export interface BitsAndBytesConfig {
  readonly format: 'nf4' | 'fp4' | 'int8';
  /** The block maxima are quantised, too. */
  readonly doubleQuantization: boolean;
  /** Modules that were left as they are; empty when the config names none. */
  readonly skipModules: readonly string[];
}

/**
 * Reads `config.json`'s `quantization_config`.
 *
 * @param json `undefined` or null for a checkpoint that is not quantised.
 * @returns `undefined` then.
 * @throws PEFT_QUANTIZATION_METHOD for another method than bitsandbytes; PEFT_QUANTIZATION_CONFIG
 *   when it makes no sense.
 */
export function readQuantizationConfig(json: unknown): BitsAndBytesConfig | undefined {
  if (json === undefined || json === null) return undefined;
  if (typeof json !== 'object' || Array.isArray(json))
    throw configError('quantization_config', json, 'an object');
  const fields = json as Readonly<Record<string, unknown>>;
  const isFourBit = flag(fields, 'load_in_4bit') || flag(fields, '_load_in_4bit');
  const isEightBit = flag(fields, 'load_in_8bit') || flag(fields, '_load_in_8bit');
  // early files do not name it
  const method = fields['quant_method'] ?? (isFourBit || isEightBit ? 'bitsandbytes' : undefined);
  if (method !== 'bitsandbytes') {
    throw new PeftError(
      'PEFT_QUANTIZATION_METHOD',
      `hub: the checkpoint is quantised with ${show(method ?? 'no named method')}, which is not supported.`,
      {
        hint: 'bitsandbytes in 4 or 8 bits is; or take the unquantised checkpoint and quantise it while loading',
      },
    );
  }
  if (isFourBit === isEightBit)
    throw new PeftError(
      'PEFT_QUANTIZATION_CONFIG',
      'hub: quantization_config asks for ' +
        `${isFourBit ? 'both load_in_4bit and load_in_8bit' : 'neither load_in_4bit nor load_in_8bit'}.`,
    );
  const type = fields['bnb_4bit_quant_type'] ?? 'fp4'; // bitsandbytes' default
  if (isFourBit && type !== 'nf4' && type !== 'fp4')
    throw configError('bnb_4bit_quant_type', type, '"nf4" or "fp4"');
  const skipModules = fields['llm_int8_skip_modules'] ?? [];
  if (!Array.isArray(skipModules) || !skipModules.every((module) => typeof module === 'string'))
    throw configError('llm_int8_skip_modules', skipModules, 'a list of module names');
  return {
    format: isEightBit ? 'int8' : (type as 'nf4'),
    doubleQuantization: isFourBit && flag(fields, 'bnb_4bit_use_double_quant'),
    skipModules: skipModules,
  };
}

function flag(fields: Readonly<Record<string, unknown>>, key: string): boolean {
  const value = fields[key] ?? false;
  if (typeof value !== 'boolean') throw configError(key, value, 'true or false');
  return value;
}

const configError = (field: string, value: unknown, must: string): PeftError =>
  new PeftError(
    'PEFT_QUANTIZATION_CONFIG',
    `hub: quantization_config: ${field} must be ${must}, got ${show(value)}.`,
    { hint: 'config.json is damaged' },
  );

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
