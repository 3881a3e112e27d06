/**
 * Who loads adapters, and which. What each target takes is what its loader checks: vLLM's
 * PEFTHelper, llama.cpp's convert_lora_to_gguf, MLX-LM's load_adapters, PEFT's from_pretrained.
 */
import type { JsonObject } from '@peft/hub';
import { PEFT_TYPES } from './peft-types.js';
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

/** Looks at `adapter_config.json`. */
export type Check = (config: JsonObject) => Omit<AdapterVerdict, 'target'>;

export interface Target {
  readonly check: Check;
  /** It loads no adapters at all, but what they were merged into. */
  readonly takesMergedAlone?: true;
}

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

const peft: Check = (config) => {
  const type = config['peft_type'];
  const isKnown = typeof type === 'string' && PEFT_TYPES.includes(type);
  const method = typeof type === 'string' ? ` of the method ${type}` : '';
  return verdict(
    isKnown ? [] : [`the files${method} are none of PEFT's`],
    'make it LoRA: peft convert --to lora; or merge it: peft merge',
  );
};

const llamaCpp: Check = (config) => {
  const result = verdict(moreThanLora(config), 'merge it: peft export --to gguf');
  return result.loads ? { ...result, advice: 'write it: peft export --to gguf-lora' } : result;
};

const mlx: Check = (config) => {
  const reasons = [...moreThanLora(config), ...patterns(config, 'MLX-LM has one rank')];
  const result = verdict(reasons, MERGE);
  return result.loads ? { ...result, advice: 'write it: peft export --to mlx' } : result;
};

/** By the names that `--for` takes. */
export const TARGETS = Object.freeze({
  peft: { check: peft },
  vllm: { check: vllm },
  'llama.cpp': { check: llamaCpp },
  mlx: { check: mlx },
  'transformers.js': {
    check: () => verdict(['it loads no adapters'], 'merge it: peft export --to onnx'),
    takesMergedAlone: true,
  },
} as const satisfies Readonly<Record<string, Target>>);

/** A program whose loading of adapters is known. */
export type TargetName = keyof typeof TARGETS;
/** The programs whose loading is known, by name. */
export const TARGET_NAMES = Object.freeze(Object.keys(TARGETS) as TargetName[]);

/** Of an adapter that was trained on top of another one. */
export const STACKED_VERDICT = verdict(
  ['it stands on another adapter (base-adapter) and is nothing without it'],
  MERGE,
);
