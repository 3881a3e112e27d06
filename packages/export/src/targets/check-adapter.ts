/**
 * Who loads an adapter as it is, and why not. What each target takes is what its loader checks:
 * vLLM's PEFTHelper, llama.cpp's convert_lora_to_gguf, MLX-LM's load_adapters, PEFT's
 * from_pretrained.
 */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { check, PeftError } from '@peft/errors';
import { readJsonObject, type JsonObject } from '@peft/hub';
import { moreThanLora } from './plain-lora.js';

/** Whether one program loads an adapter. */
export interface AdapterVerdict {
  readonly target: TargetName;
  /** It loads the adapter as it is. */
  readonly loads: boolean;
  /** Why not; what to mind where it does. */
  readonly reasons: readonly string[];
  /** What to do. */
  readonly advice: string | undefined;
}

type Check = (config: JsonObject) => Omit<AdapterVerdict, 'target'>;

const verdict = (reasons: readonly string[], advice: string): Omit<AdapterVerdict, 'target'> => ({
  loads: reasons.length === 0,
  reasons,
  advice: reasons.length ? advice : undefined,
});

const MERGE = 'merge it: peft merge';

/** vLLM serves ranks up to its --max-lora-rank, 16 by default, of these sizes. */
const VLLM_RANK = 16;
const VLLM_RANKS = [1, 8, 16, 32, 64, 128, 256, 320, 512];

const vllm: Check = (config) => {
  const reasons = [
    ...moreThanLora(config),
    ...patterns(config, 'vLLM reads one rank and one alpha'),
  ];
  const rank = Number(config['r'] ?? 8);
  const largest = VLLM_RANKS.at(-1)!;
  if (config['peft_type'] === 'LORA' && rank > largest)
    reasons.push(`rank ${rank} is over the largest that it serves, ${largest}`);
  const needed = VLLM_RANKS.find((size) => size >= rank);
  if (reasons.length || rank <= VLLM_RANK) return verdict(reasons, MERGE);
  return {
    loads: true,
    reasons: [`rank ${rank} is over its default of ${VLLM_RANK}`],
    advice: `start it with --max-lora-rank ${needed}`,
  };
};

const patterns = (config: JsonObject, why: string): string[] =>
  ['rank_pattern', 'alpha_pattern']
    .filter((key) => Object.keys((config[key] ?? {}) as object).length > 0)
    .map((key) => `${why}, the adapter has a ${key}`);

/** By the names that `--for` takes. */
const TARGETS = Object.freeze({
  peft: (config) =>
    verdict(
      typeof config['peft_type'] === 'string' ? [] : ["the files are not in PEFT's layout"],
      'save it with a method of PEFT, or merge it: peft merge',
    ),
  vllm,
  'llama.cpp': (config) => {
    const result = verdict(moreThanLora(config), 'merge it: peft export --to gguf');
    return result.loads ? { ...result, advice: 'write it: peft export --to gguf-lora' } : result;
  },
  mlx: (config) => {
    const reasons = [...moreThanLora(config), ...patterns(config, 'MLX-LM has one rank')];
    const result = verdict(reasons, MERGE);
    return result.loads ? { ...result, advice: 'write it: peft export --to mlx' } : result;
  },
  'transformers.js': () => verdict(['it loads no adapters'], MERGE),
} as const satisfies Readonly<Record<string, Check>>);

/** A program whose loading of adapters is known. */
export type TargetName = keyof typeof TARGETS;
/** The programs whose loading is known, by name. */
export const TARGET_NAMES = Object.freeze(Object.keys(TARGETS) as TargetName[]);

/**
 * Who loads the adapter in a folder as it is.
 * @param target one of them. Default: all.
 * @throws PEFT_ADAPTER_MISSING, PEFT_CONFIG_INVALID for a target that there is not
 */
export function checkAdapter(folder: string, target?: string): AdapterVerdict[] {
  if (target !== undefined) check.oneOf('checkAdapter', 'target', target, TARGET_NAMES);
  const own = readJsonObject(join(folder, 'adapter_config.json'));
  const config = own ?? readJsonObject(join(folder, 'adapter', 'adapter_config.json'));
  if (!config)
    throw new PeftError(
      'PEFT_ADAPTER_MISSING',
      `export: ${resolve(folder)} holds no adapter_config.json.`,
      { hint: "give an adapter's folder, or one that fit saved" },
    );
  const saved = own ? dirname(resolve(folder)) : folder;
  const isStacked = ['predictor.json', 'base-adapter'].every((name) =>
    existsSync(join(saved, name)),
  );
  return TARGET_NAMES.filter((name) => target === undefined || name === target).map((name) => ({
    target: name,
    ...(isStacked ? verdict([STACKED], MERGE) : TARGETS[name](config)),
  }));
}

const STACKED = 'it stands on another adapter (base-adapter) and is nothing without it';
