/** From an adapter's files to those of another tool, or to LoRA. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { check, PeftError } from '@peft/errors';
import { readJsonObject } from '@peft/hub';
import { checkAdapterFormat } from './export-formats.js';
import { exportModel, type ExportOptions, type ExportResult } from './export-model.js';

/** Where an adapter goes, and as what. */
export interface ConvertOptions extends Omit<ExportOptions, 'adapter' | 'maxShardBytes'> {
  /** A format that writes adapters: `peft`, `adapter-hub`, `lora` (with `rank`), `mlx`, `gguf-lora`. */
  readonly to: string;
}

/**
 * Writes an adapter once more, for another tool. `lora` makes any method that can be merged into
 * LoRA of `rank`, by the singular values of its update at each place; the result's
 * `approximation.keptShare` says how much of the update's energy that has.
 *
 * @param adapter its folder, or one that `PeftPredictor` saved
 * @param options.baseModel its base. Default: the one that the adapter names, or that was saved with it
 * @throws PEFT_EXPORT_FORMAT a format that is none, or writes models; PEFT_ADAPTER_MISSING;
 *   PEFT_ADAPTER_BASE the adapter names no base; PEFT_LORA_NEAREST, and what `exportModel` throws
 */
export async function convertAdapter(
  adapter: string,
  options: ConvertOptions,
): Promise<ExportResult> {
  check.string('convertAdapter', 'adapter', adapter);
  const { baseModel, ...rest } = options;
  checkAdapterFormat(options.to, options.modules);
  if (existsSync(join(adapter, 'predictor.json')))
    return exportModel(adapter, { ...rest, baseModel });
  return exportModel(baseModel ?? baseNamedBy(adapter), { ...rest, adapter });
}

/** @throws PEFT_ADAPTER_MISSING, PEFT_ADAPTER_BASE */
function baseNamedBy(adapter: string): string {
  const config = readJsonObject(join(adapter, 'adapter_config.json'));
  if (!config)
    throw new PeftError('PEFT_ADAPTER_MISSING', `convert: ${adapter} has no adapter_config.json.`, {
      hint: "give an adapter's folder, or one that fit saved",
    });
  const [base] = ['base_model_name_or_path', 'model_name', 'model']
    .map((key) => config[key])
    .filter((value) => typeof value === 'string' && value !== '');
  if (typeof base === 'string') return base;
  throw new PeftError('PEFT_ADAPTER_BASE', `convert: ${adapter} does not say what it stands on.`, {
    hint: 'name its base with baseModel (CLI: --model)',
  });
}
