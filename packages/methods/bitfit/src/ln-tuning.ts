/**
 * Norm tuning: trains the scales and shifts of the norms. Zhao et al. 2023, "Tuning LayerNorm in
 * Attention: Towards Efficient Multi-Modal LLM Finetuning". PEFT calls it LN_TUNING.
 */
import { definePeftMethod, type TargetSelection } from '@peft/core';
import { check } from '@peft/errors';

/** LN tuning has no options beside the common ones. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface LnTuningConfig {}

declare module '@peft/core' {
  interface PeftConfigs {
    'ln-tuning': LnTuningConfig;
  }
}

const GEMMA = [
  'input_layernorm',
  'post_attention_layernorm',
  'pre_feedforward_layernorm',
  'post_feedforward_layernorm',
  'norm',
];

/**
 * Norms that PEFT takes by default, by `model_type`; in other families it asks for names, and here
 * every norm is taken.
 */
export const LN_TUNING_DEFAULT_TARGETS: Readonly<Record<string, readonly string[]>> = Object.freeze(
  {
    t5: ['layer_norm', 'final_layer_norm'],
    mt5: ['layer_norm', 'final_layer_norm'],
    llama: ['input_layernorm', 'post_attention_layernorm', 'norm'],
    mistral: ['input_layernorm', 'post_attention_layernorm', 'norm'],
    gemma2: GEMMA,
    gemma3_text: GEMMA,
    qwen2: ['post_attention_layernorm'],
    qwen3: ['post_attention_layernorm'],
    gpt2: ['ln_1', 'ln_2', 'ln_f'],
    gemma: ['input_layernorm', 'post_attention_layernorm', 'norm'],
    phi: ['input_layernorm', 'final_layernorm'],
    bloom: ['input_layernorm', 'post_attention_layernorm', 'ln_f'],
    falcon: ['input_layernorm', 'post_attention_layernorm', 'ln_f'],
    bart: ['self_attn_layer_norm', 'encoder_attn_layer_norm', 'final_layer_norm'],
  },
);

/**
 * The norm tuning method: no new parameters, so that merging is exact.
 * @throws PEFT_CONFIG_UNKNOWN_KEY
 */
export const lnTuning = definePeftMethod({
  name: 'ln-tuning',
  formula: 'y = norm(x) ⊙ γ + β, γ and β learned',
  peftType: 'LN_TUNING',
  paper: {
    title: 'Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning',
    url: 'https://arxiv.org/abs/2312.11420',
  },

  parseConfig(input): LnTuningConfig {
    check.knownKeys('ln-tuning', input, []);
    return {};
  },

  defaultTargets: ({ modelType, sites }): TargetSelection => ({
    targets:
      LN_TUNING_DEFAULT_TARGETS[modelType] ??
      sites.filter(({ kind }) => kind === 'norm').map(({ path }) => path),
  }),

  attach: {
    norm(site, _config, context) {
      context.unfreeze(site.weight, { savedAs: 'ln_tuning_layers.weight' });
      if (site.bias !== undefined)
        context.unfreeze(site.bias, { savedAs: 'ln_tuning_layers.bias' });
      return undefined;
    },
  },

  toPeftConfig: () => ({}),
  fromPeftConfig: () => ({}),
});
