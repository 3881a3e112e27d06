/** The default of each setting, and what its value must be. */
import {
  PAIR_LOSSES,
  POLICY_LOSSES,
  REWARD_SCALES,
  TRUNCATIONS,
  UNPAIRED_LOSSES,
} from '@peft/preference';
import { RANKING_LOSSES } from '@peft/trainer';
import type { HyperparameterKey } from './hyperparameter-types.js';
import {
  either,
  names,
  number,
  oneOf,
  orNull,
  positive,
  positives,
  rule,
  sizes,
  text,
  tokens,
  type SettingRule,
} from './setting-rules.js';

/** One setting. */
export interface Setting {
  readonly default: unknown;
  readonly check: SettingRule;
  readonly convert?: (value: unknown) => unknown;
}

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

/** Every setting by its key. */
export const SETTINGS: Readonly<Record<HyperparameterKey, Setting>> = Object.freeze({
  'model.hf_text.checkpoint_name': { default: 'google/electra-base-discriminator', check: text },
  'model.hf_text.revision': { default: null, check: orNull(text) },
  'model.hf_text.pooling_mode': { default: 'cls', check: oneOf('cls', 'mean') },
  'model.hf_text.max_text_len': { default: 512, check: number(4, 1e6, true) },
  'model.hf_text.max_target_len': { default: 128, check: number(1, 1e6, true) },
  'model.hf_text.truncate_dim': { default: null, check: orNull(number(1, 1e6, true)) },
  'model.hf_text.gradient_checkpointing': { default: 'auto', check: oneOf(true, false, 'auto') },
  'model.hf_text.quantization': {
    default: null,
    check: oneOf('nf4', 'fp4', 'int8', 'bf16', 'f16', 'auto', null),
  },
  'model.hf_text.pad_vocabulary_to_multiple_of': {
    default: null,
    check: orNull(number(1, 1e6, true)),
  },
  'model.hf_text.low_cpu_mem_usage': { default: false, check: oneOf(true, false) },
  'model.hf_text.text_trivial_aug_maxscale': { default: 0, check: oneOf(0) },
  'data.chat_template': { default: null, check: orNull(text) },
  'data.added_tokens': { default: [], check: tokens },
  'data.truncation': { default: 'keep_start', check: oneOf(...TRUNCATIONS) },
  'data.chat_answers': { default: 'all', check: oneOf('all', 'last') },
  'data.pos_label': {
    default: null,
    check: rule('a label or null', { type: ['string', 'number', 'boolean', 'null'] }),
  },
  'data.text_pairs': { default: false, check: oneOf(true, false) },
  'data.label_separator': { default: null, check: orNull(text) },
  'data.label_threshold': {
    default: 0.5,
    check: either(
      rule('a number between 0 and 1', {
        type: 'number',
        exclusiveMinimum: 0,
        exclusiveMaximum: 1,
      }),
      oneOf('tuned'),
    ),
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
    check: rule('a number in (0, 1]', { type: 'number', exclusiveMinimum: 0, maximum: 1 }),
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
    check: rule('a share of the steps in [0, 1), or a number of steps', {
      anyOf: [
        { type: 'number', minimum: 0, exclusiveMaximum: 1 },
        { type: 'integer', minimum: 0 },
      ],
    }),
  },
  'optim.max_epochs': { default: 20, check: number(1, 1e6, true) },
  'optim.max_steps': {
    default: -1,
    check: rule('a positive integer, or -1 for no limit', {
      anyOf: [{ const: -1 }, { type: 'integer', minimum: 1, maximum: 1e9 }],
    }),
  },
  'optim.patience': { default: 10, check: number(1, 1e9, true) },
  'optim.val_check_interval': { default: 0.5, check: positive },
  'optim.gradient_clip_val': { default: 1, check: positive },
  'optim.top_k': { default: 3, check: number(1, 100, true) },
  'optim.top_k_average_method': {
    default: 'greedy_soup',
    check: oneOf('greedy_soup', 'uniform_soup', 'best'),
  },
  'optim.positive_weights': {
    default: null,
    check: orNull(either(oneOf('balanced'), positive, positives)),
  },
  'optim.class_weights': { default: null, check: orNull(either(oneOf('balanced'), positives)) },
  'optim.focal_gamma': { default: 0, check: number(0, 100) },
  'optim.neftune_alpha': { default: 0, check: number(0, 1e6) },
  'optim.lora_plus_ratio': { default: 1, check: positive },
  'optim.matryoshka_dimensions': { default: null, check: orNull(sizes) },
  'optim.matryoshka_weights': { default: null, check: orNull(positives) },
  'optim.ranking_loss': { default: 'pointwise', check: oneOf(...RANKING_LOSSES) },
  'optim.ranking_margin': { default: 1, check: positive },
  'optim.preference_loss': {
    default: 'sigmoid',
    check: oneOf(...[...PAIR_LOSSES, ...UNPAIRED_LOSSES].map(({ name }) => name)),
  },
  'optim.preference_beta': { default: 0.1, check: positive },
  'optim.preference_margin': { default: 0.5, check: number(-1e6, 1e6) },
  'optim.likelihood_weight': { default: null, check: orNull(number(0, 1e6)) },
  'optim.desirable_weight': { default: 1, check: positive },
  'optim.undesirable_weight': { default: 1, check: positive },
  'optim.group_size': { default: 8, check: number(2, 4096, true) },
  'optim.policy_loss': {
    default: 'dapo',
    check: oneOf(...POLICY_LOSSES.map(({ name }) => name)),
  },
  'optim.kl_weight': { default: 0, check: number(0, 1e6) },
  'optim.reward_scale': { default: 'group', check: oneOf(...REWARD_SCALES) },
  'optim.policy_updates': { default: 1, check: number(1, 1e6, true) },
  'optim.clip_low': { default: 0.2, check: positive },
  'optim.clip_high': { default: null, check: orNull(positive) },
  'optim.reference_cache': { default: null, check: orNull(text) },
  'optim.center_rewards': { default: 0, check: number(0, 1e6) },
  'optim.dropout': { default: true, check: oneOf(true, false) },
  'optim.label_smoothing': { default: 0, check: number(0, 0.999) },
  'optim.log_every_n_steps': { default: 10, check: number(1, 1e9, true) },
  'env.batch_size': { default: 128, check: number(1, 1e6, true) },
  'env.per_gpu_batch_size': {
    default: 8,
    check: rule('a positive integer or auto', {
      anyOf: [{ const: 'auto' }, { type: 'integer', minimum: 1, maximum: 1e6 }],
    }),
  },
  'env.inference_batch_size_ratio': { default: 4, check: positive },
  'env.precision': {
    default: 'auto',
    check: rule(`one of ${Object.keys(PRECISIONS).join(', ')}`, {
      enum: [...Object.keys(PRECISIONS), 16, 32],
    }),
    convert: (value) => PRECISIONS[String(value)],
  },
  // whether there is such an engine is known to the predictor, whose modules may add some
  'env.engine': { default: 'auto', check: text },
  'env.num_threads': { default: 0, check: number(0, 256, true) },
  'env.memory_gb': { default: null, check: orNull(positive) },
  'env.seed': { default: 0, check: number(0, 4294967295, true) },
});

/** The keys of all settings. */
export const HYPERPARAMETER_KEYS = Object.freeze(
  Object.keys(SETTINGS),
) as readonly HyperparameterKey[];
