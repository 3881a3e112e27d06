/** The settings of a fit: AutoGluon's keys with their defaults, its older names, and checks. */
import { didYouMean, PeftError, show } from '@peft/errors';
import type { TaskName } from '../tasks/task-names.js';

/** Every setting by its dotted key. */
export interface Hyperparameters {
  /** Folder or hub id of the checkpoint. */
  'model.hf_text.checkpoint_name': string;
  /** `cls`: first token. `mean`: mean over tokens. */
  'model.hf_text.pooling_mode': 'cls' | 'mean';
  /** Tokens of a row at most, special ones included. */
  'model.hf_text.max_text_len': number;
  /** Tokens of a target at most, and of a text that is written for scores and predictions. */
  'model.hf_text.max_target_len': number;
  /** Recompute each block in the backward pass. `auto`: when the batch would not fit. */
  'model.hf_text.gradient_checkpointing': boolean | 'auto';
  /**
   * Quantise the linear maps of the base while it is read: `nf4`, `fp4` (double quantisation) or
   * `int8`; or round all of its matrices: `bf16`, `f16`. What trains stays float32. `auto`: `nf4`
   * when the run would not fit the memory without. null: as the checkpoint is.
   */
  'model.hf_text.quantization': 'nf4' | 'fp4' | 'int8' | 'bf16' | 'f16' | 'auto' | null;
  /** Read weights tensor by tensor. Always so here; accepted for AutoGluon's sake. */
  'model.hf_text.low_cpu_mem_usage': boolean;
  /** AutoGluon's word-level augmentation, which this toolkit does not have: only 0. */
  'model.hf_text.text_trivial_aug_maxscale': number;
  /**
   * Chat template instead of the checkpoint's own: `chatml`, `llama3`, `gemma`, `mistral`, `alpaca` or
   * a file with Jinja; saved with the model. null: the checkpoint's.
   */
  'data.chat_template': string | null;
  /** Which of the assistant's turns of a conversation are learnt: all, or the last. */
  'data.chat_answers': 'all' | 'last';
  /** The class whose probability `roc_auc` and `f1` look at; default the last in sorted order. */
  'data.pos_label': string | number | boolean | null;
  /**
   * Method: `bit_fit`, `norm_fit`, `lora`, `lora_bias`, `lora_norm`, `ia3`, `ia3_bias`, `ia3_norm`,
   * `ia3_lora` …; null trains everything.
   */
  'optim.peft': string | null;
  'optim.lora.r': number;
  'optim.lora.alpha': number;
  /** Prefix regular expressions on the names of layers that LoRA and IA3 wrap. */
  'optim.lora.filter': readonly string[];
  'optim.lora.module_filter': readonly string[] | null;
  /**
   * Where the default filter names no layer of the family (DistilBERT, GPT-2, Llama), wrap its
   * queries and values. false: AutoGluon's own behaviour, the head alone trains there.
   */
  'optim.lora.family_targets': boolean;
  /** `…_8bit` keep their state in 8 bits. */
  'optim.optim_type':
    'adamw' | 'adam' | 'sgd' | 'adafactor' | 'lion' | 'adamw_8bit' | 'adam_8bit' | 'lion_8bit';
  /**
   * Where AdamW, Adam, SGD and Lion keep their state and compute: in host memory, or on the
   * engine's device, a GPU for instance. The others are on the host alone.
   */
  'optim.state_device': 'host' | 'device';
  /**
   * Megabytes of optimiser state that stay in memory; the rest lies in a page file in the system's
   * temporary folder. With `state_device` they stay on the device, and the rest lies in host
   * memory. null: all.
   */
  'optim.resident_state_mb': number | null;
  'optim.lr': number;
  'optim.weight_decay': number;
  /** Each layer further from the head has its rate multiplied by it. */
  'optim.lr_decay': number;
  'optim.lr_choice': 'layerwise_decay' | 'two_stages' | 'single_stage';
  'optim.lr_mult': number;
  'optim.lr_schedule':
    'cosine_decay' | 'polynomial_decay' | 'linear_decay' | 'multi_step' | 'constant';
  /** Last rate of `polynomial_decay`. */
  'optim.end_lr': number;
  /** Fraction of the steps below 1, else their number. */
  'optim.warmup_steps': number;
  'optim.max_epochs': number;
  /** −1: no limit. */
  'optim.max_steps': number;
  'optim.patience': number;
  /** Validation every so many epochs (below or at 1), else every so many micro-batches. */
  'optim.val_check_interval': number;
  'optim.gradient_clip_val': number;
  'optim.top_k': number;
  'optim.top_k_average_method': 'greedy_soup' | 'uniform_soup' | 'best';
  'optim.label_smoothing': number;
  'optim.log_every_n_steps': number;
  /** Rows per optimiser step. */
  'env.batch_size': number;
  /** Rows per forward pass. `auto`: 8, or as many as fit the memory. */
  'env.per_gpu_batch_size': number | 'auto';
  /** Rows per forward pass of evaluation and prediction, times `per_gpu_batch_size`. */
  'env.inference_batch_size_ratio': number;
  /**
   * `auto`: the engine's default. `32`: float32. `bf16` and AutoGluon's `16-mixed`: bfloat16
   * products with float32 accumulation.
   */
  'env.precision': 'auto' | 'bf16' | '32';
  'env.engine': 'auto' | 'native' | 'portable' | 'tensorflow';
  /** Threads of the native engine; 0: all cores. */
  'env.num_threads': number;
  /** Gigabytes that the process may take. null: what is free on the machine. */
  'env.memory_gb': number | null;
  'env.seed': number;
}
export type HyperparameterKey = keyof Hyperparameters;

interface Setting {
  readonly default: unknown;
  readonly check: (value: unknown) => string | undefined;
  readonly convert?: (value: unknown) => unknown;
}

const number =
  (least: number, most = Number.POSITIVE_INFINITY, integer = false) =>
  (value: unknown): string | undefined =>
    typeof value === 'number' &&
    value >= least &&
    value <= most &&
    (!integer || Number.isInteger(value))
      ? undefined
      : `${integer ? 'an integer' : 'a number'} ${Number.isFinite(most) ? `from ${least} to ${most}` : `of at least ${least}`}`;
const positive = (value: unknown): string | undefined =>
  typeof value === 'number' && value > 0 && Number.isFinite(value) ? undefined : 'a number > 0';
const oneOf =
  (...allowed: readonly unknown[]) =>
  (value: unknown): string | undefined =>
    allowed.includes(value) ? undefined : `one of ${allowed.map(String).join(', ')}`;
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? undefined : 'a string';
const names = (value: unknown): string | undefined =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
    ? undefined
    : 'a list of strings';
const orNull =
  (check: Setting['check']) =>
  (value: unknown): string | undefined => {
    const must = value === null ? undefined : check(value);
    return must && `${must} or null`;
  };
const PRECISIONS: Readonly<Record<string, string>> = {
  auto: 'auto',
  '32': '32',
  '32-true': '32',
  bf16: 'bf16',
  'bf16-mixed': 'bf16',
  'bf16-true': 'bf16',
  '16': 'bf16',
  '16-mixed': 'bf16',
};

const SETTINGS: Readonly<Record<HyperparameterKey, Setting>> = Object.freeze({
  'model.hf_text.checkpoint_name': { default: 'google/electra-base-discriminator', check: text },
  'model.hf_text.pooling_mode': { default: 'cls', check: oneOf('cls', 'mean') },
  'model.hf_text.max_text_len': { default: 512, check: number(4, 1e6, true) },
  'model.hf_text.max_target_len': { default: 128, check: number(1, 1e6, true) },
  'model.hf_text.gradient_checkpointing': { default: 'auto', check: oneOf(true, false, 'auto') },
  'model.hf_text.quantization': {
    default: null,
    check: oneOf('nf4', 'fp4', 'int8', 'bf16', 'f16', 'auto', null),
  },
  'model.hf_text.low_cpu_mem_usage': { default: false, check: oneOf(true, false) },
  'model.hf_text.text_trivial_aug_maxscale': { default: 0, check: oneOf(0) },
  'data.chat_template': { default: null, check: orNull(text) },
  'data.chat_answers': { default: 'all', check: oneOf('all', 'last') },
  'data.pos_label': {
    default: null,
    check: (value) =>
      value === null || ['string', 'number', 'boolean'].includes(typeof value)
        ? undefined
        : 'a label or null',
  },
  'optim.peft': { default: null, check: orNull(text) },
  'optim.lora.r': { default: 8, check: number(1, 4096, true) },
  'optim.lora.alpha': { default: 8, check: positive },
  'optim.lora.filter': { default: ['query', 'value', '^q$', '^v$', '^k$', '^o$'], check: names },
  'optim.lora.module_filter': { default: null, check: orNull(names) },
  'optim.lora.family_targets': { default: true, check: oneOf(true, false) },
  'optim.optim_type': {
    default: 'adamw',
    check: oneOf(
      'adamw',
      'adam',
      'sgd',
      'adafactor',
      'lion',
      'adamw_8bit',
      'adam_8bit',
      'lion_8bit',
    ),
  },
  'optim.state_device': { default: 'host', check: oneOf('host', 'device') },
  'optim.resident_state_mb': { default: null, check: orNull(number(0)) },
  'optim.lr': { default: 1e-4, check: positive },
  'optim.weight_decay': { default: 1e-3, check: number(0, 1e6) },
  'optim.lr_decay': {
    default: 0.9,
    check: (value) =>
      typeof value === 'number' && value > 0 && value <= 1 ? undefined : 'a number in (0, 1]',
  },
  'optim.lr_choice': {
    default: 'layerwise_decay',
    check: oneOf('layerwise_decay', 'two_stages', 'single_stage'),
  },
  'optim.lr_mult': { default: 1, check: positive },
  'optim.lr_schedule': {
    default: 'cosine_decay',
    check: oneOf('cosine_decay', 'polynomial_decay', 'linear_decay', 'multi_step', 'constant'),
  },
  'optim.end_lr': { default: 0, check: number(0, 1e6) },
  'optim.warmup_steps': {
    default: 0.1,
    check: (value) =>
      typeof value === 'number' && value >= 0 && (value < 1 || Number.isInteger(value))
        ? undefined
        : 'a share of the steps in [0, 1), or a number of steps',
  },
  'optim.max_epochs': { default: 20, check: number(1, 1e6, true) },
  'optim.max_steps': {
    default: -1,
    check: (value) =>
      value === -1
        ? undefined
        : number(1, 1e9, true)(value) && 'a positive integer, or -1 for no limit',
  },
  'optim.patience': { default: 10, check: number(1, 1e9, true) },
  'optim.val_check_interval': { default: 0.5, check: positive },
  'optim.gradient_clip_val': { default: 1, check: positive },
  'optim.top_k': { default: 3, check: number(1, 100, true) },
  'optim.top_k_average_method': {
    default: 'greedy_soup',
    check: oneOf('greedy_soup', 'uniform_soup', 'best'),
  },
  'optim.label_smoothing': { default: 0, check: number(0, 0.999) },
  'optim.log_every_n_steps': { default: 10, check: number(1, 1e9, true) },
  'env.batch_size': { default: 128, check: number(1, 1e6, true) },
  'env.per_gpu_batch_size': {
    default: 8,
    check: (value) =>
      value === 'auto' ? undefined : number(1, 1e6, true)(value) && 'a positive integer or auto',
  },
  'env.inference_batch_size_ratio': { default: 4, check: positive },
  'env.precision': {
    default: 'auto',
    check: (value) =>
      Object.hasOwn(PRECISIONS, String(value))
        ? undefined
        : `one of ${Object.keys(PRECISIONS).join(', ')}`,
    convert: (value) => PRECISIONS[String(value)],
  },
  'env.engine': { default: 'auto', check: oneOf('auto', 'native', 'portable', 'tensorflow') },
  'env.num_threads': { default: 0, check: number(0, 256, true) },
  'env.memory_gb': { default: null, check: orNull(positive) },
  'env.seed': { default: 0, check: number(0, 4294967295, true) },
});

export const HYPERPARAMETER_KEYS = Object.freeze(
  Object.keys(SETTINGS),
) as readonly HyperparameterKey[];

/** AutoGluon's older names and what they are called now. */
const OLDER_KEYS: Readonly<Record<string, HyperparameterKey>> = Object.freeze({
  'env.eval_batch_size_ratio': 'env.inference_batch_size_ratio',
  'optim.efficient_finetune': 'optim.peft',
  'optim.learning_rate': 'optim.lr',
  'optim.lora.module_filters': 'optim.lora.module_filter',
  'env.per_device_batch_size': 'env.per_gpu_batch_size',
});

/** `optimization.x` was renamed to `optim.x`, beside the names above. */
function currentKey(key: string): string {
  const renamed = key.startsWith('optimization.')
    ? `optim.${key.slice('optimization.'.length)}`
    : key;
  return Object.hasOwn(OLDER_KEYS, renamed) ? OLDER_KEYS[renamed]! : renamed;
}

/** Values of the presets that differ from the defaults. */
export const PRESETS: Readonly<Record<string, Partial<Hyperparameters>>> = Object.freeze({
  default: {},
  high_quality: {},
  medium_quality: {
    'model.hf_text.checkpoint_name': 'google/electra-small-discriminator',
    'optim.lr': 4e-4,
  },
  best_quality: {
    'model.hf_text.checkpoint_name': 'microsoft/deberta-v3-base',
    'env.per_gpu_batch_size': 1,
  },
  multilingual: {
    'model.hf_text.checkpoint_name': 'microsoft/mdeberta-v3-base',
    'optim.top_k': 1,
    'env.per_gpu_batch_size': 4,
  },
});

/** Values of the tasks that differ from the defaults: AutoGluon's are for whole rows. */
const LANGUAGE_MODEL: Partial<Hyperparameters> = Object.freeze({
  'optim.peft': 'lora',
  'optim.lr': 2e-4,
  'optim.lr_choice': 'single_stage',
  'optim.max_epochs': 3,
  'optim.top_k': 1,
  'optim.top_k_average_method': 'best',
  'env.batch_size': 16,
  'env.per_gpu_batch_size': 4,
});
export const TASK_DEFAULTS: Readonly<Partial<Record<TaskName, Partial<Hyperparameters>>>> =
  Object.freeze({
    'causal-lm': {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'HuggingFaceTB/SmolLM2-135M-Instruct',
    },
    seq2seq: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'google/flan-t5-small',
      'optim.lr': 1e-3,
    },
    embeddings: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'sentence-transformers/all-MiniLM-L6-v2',
      'model.hf_text.pooling_mode': 'mean',
      'env.batch_size': 32,
      'env.per_gpu_batch_size': 32,
      'env.inference_batch_size_ratio': 1,
    },
  });

/** What a user may write: dotted keys, nested objects, or `"a=b c=d"`. */
export type HyperparameterInput =
  Partial<Hyperparameters> | Readonly<Record<string, unknown>> | readonly string[] | string;

/**
 * Defaults, then the task's, then the preset's, then the given values, checked.
 * @param inputs later ones win.
 * @throws PEFT_PRESET_UNKNOWN, PEFT_HYPERPARAMETER_UNKNOWN with the nearest key,
 *   PEFT_HYPERPARAMETER_INVALID, PEFT_HYPERPARAMETER_TWICE
 */
export function resolveHyperparameters(
  inputs: HyperparameterInput | readonly HyperparameterInput[] = {},
  preset = 'default',
  task?: TaskName,
): Hyperparameters {
  if (!Object.hasOwn(PRESETS, preset))
    throw new PeftError(
      'PEFT_PRESET_UNKNOWN',
      `presets: ${JSON.stringify(preset)} is not one of ${Object.keys(PRESETS).join(', ')}.`,
      { hint: didYouMean(preset, Object.keys(PRESETS)) },
    );
  const defaults = Object.fromEntries(
    HYPERPARAMETER_KEYS.map((key) => [key, SETTINGS[key].default]),
  );
  return overrideHyperparameters(
    {
      ...defaults,
      ...(task && TASK_DEFAULTS[task]),
      ...PRESETS[preset],
    } as unknown as Hyperparameters,
    inputs,
  );
}

/** Settings with some of them replaced, checked. @throws as {@link resolveHyperparameters} */
export function overrideHyperparameters(
  settings: Hyperparameters,
  inputs: HyperparameterInput | readonly HyperparameterInput[],
): Hyperparameters {
  const list = isInputList(inputs) ? inputs : [inputs];
  return Object.freeze(
    Object.assign({ ...settings }, ...list.map(checkedValues)) as Hyperparameters,
  );
}

/** A list of texts is one input. */
const isInputList = (
  inputs: HyperparameterInput | readonly HyperparameterInput[],
): inputs is readonly HyperparameterInput[] =>
  Array.isArray(inputs) && inputs.some((input) => typeof input !== 'string');

/** The given values by their present keys. */
function checkedValues(input: HyperparameterInput): Partial<Hyperparameters> {
  const values: Record<string, unknown> = {};
  const given = new Map<string, string>();
  for (const [written, value] of flatten(input)) {
    const key = currentKey(written);
    if (!Object.hasOwn(SETTINGS, key))
      throw new PeftError(
        'PEFT_HYPERPARAMETER_UNKNOWN',
        `hyperparameters: there is no setting ${JSON.stringify(written)}.`,
        { hint: didYouMean(key, HYPERPARAMETER_KEYS) || 'list them with: peft fit --help' },
      );
    if (given.has(key))
      throw new PeftError(
        'PEFT_HYPERPARAMETER_TWICE',
        `hyperparameters: ${given.get(key)} and ${written} are the same setting.`,
        { hint: 'give one of them' },
      );
    const { check: problemOf, convert } = SETTINGS[key as HyperparameterKey];
    const must = problemOf(value);
    if (must)
      throw new PeftError(
        'PEFT_HYPERPARAMETER_INVALID',
        `hyperparameters: ${written} must be ${must}, got ${show(value)}.`,
        key === 'model.hf_text.text_trivial_aug_maxscale'
          ? { hint: 'text augmentation is not available; leave it out' }
          : {},
      );
    given.set(key, written);
    values[key] = convert ? convert(value) : value;
  }
  return values;
}

function* flatten(input: HyperparameterInput, prefix = ''): Generator<[string, unknown]> {
  if (typeof input === 'string' || Array.isArray(input)) {
    const words =
      typeof input === 'string' ? input.split(/\s+/).filter(Boolean) : (input as readonly string[]);
    for (const word of words) {
      const at = word.indexOf('=');
      if (at <= 0)
        throw new PeftError(
          'PEFT_HYPERPARAMETER_INVALID',
          `hyperparameters: ${JSON.stringify(word)} is not of the form key=value.`,
        );
      yield [word.slice(0, at), parseScalar(word.slice(at + 1))];
    }
    return;
  }
  for (const [key, value] of Object.entries(input)) {
    const path = prefix ? `${prefix}.${key}` : key;
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      yield* flatten(value, path);
    else yield [path, value];
  }
}

/** `3e-3`, `true`, `null`, `[a,b]` as JSON where it is JSON, else the text itself. */
export function parseScalar(text: string): unknown {
  if (text === 'True' || text === 'False') return text === 'True';
  if (text === 'None') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
