/**
 * Gemma (Gemma Team 2024): `decoder.ts` with every γ stored less 1 and embeddings multiplied by
 * √D.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  parseWindow,
  parseWindows,
  type DecoderConfig,
  type DecoderDefaults,
} from '../../decoder/decoder-config.js';
import { LLAMA_FORM, RMS_NORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const GEMMA_NORM = { ...RMS_NORM, gammaOffset: 1 };

/** Gemma, `model_type` `gemma` (Gemma Team 2024). The reference is transformers' implementation. */
export const gemma = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Gemma',
  modelTypes: ['gemma'],
  conventions: {
    gemma: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'Gemma' } },
  },
  parseConfig: (json: ConfigJson) => ({
    ...parseGemma(readConfig('Gemma', json), {
      vocabularySize: 256000,
      hiddenSize: 3072,
      layers: 28,
      heads: 16,
      feedForwardSize: 24576,
      maxPositions: 8192,
      fields: {},
    }),
    form: { ...LLAMA_FORM, norm: GEMMA_NORM },
  }),
});

/** The form of Gemma 2 and 3: a norm before and after each branch. */
const SANDWICH: DecoderForm = {
  ...LLAMA_FORM,
  norm: GEMMA_NORM,
  norms: {
    attention: 'input_layernorm',
    attentionOutput: 'post_attention_layernorm',
    ffn: 'pre_feedforward_layernorm',
    ffnOutput: 'post_feedforward_layernorm',
  },
  order: ['self', 'feedForward', 'attention', 'attentionOutput', 'ffn', 'ffnOutput'],
};

/** @param normsQueryKey each head's queries and keys are normed (Gemma 3). */
export const gemmaForm = (normsQueryKey: boolean): DecoderForm =>
  normsQueryKey
    ? {
        ...SANDWICH,
        attention: {
          ...SANDWICH.attention,
          norms: { query: 'q_norm', key: 'k_norm', over: 'head', norm: GEMMA_NORM },
        },
      }
    : SANDWICH;

/** The fields that the families share. */
export function parseGemma(
  config: ConfigReader,
  defaults: Pick<DecoderDefaults, 'vocabularySize' | 'maxPositions'> & Partial<DecoderDefaults>,
): DecoderConfig {
  config.only('use_bidirectional_attention', false, 'only the causal decoder is supported');
  const shared = parseDecoderConfig(config, {
    hiddenSize: 2304,
    layers: 26,
    heads: 8,
    headSize: 256,
    feedForwardSize: 9216,
    isTied: true,
    paddingId: 0,
    activation: 'gelu_pytorch_tanh',
    fields: { activation: 'hidden_activation' },
    ...defaults,
  });
  const hasBias = config.flag('attention_bias', false);
  return {
    ...shared,
    tableScale: Math.sqrt(shared.hiddenSize),
    bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
  };
}

/**
 * What Gemma 2 and 3 add: a scale and caps.
 * @param caps where the config is silent, 0: none; without a score cap there never is one
 */
export function parseGemmaScores(
  config: ConfigReader,
  caps: { readonly scoreCap?: number; readonly logitCap: number },
): Pick<DecoderConfig, 'attentionScale' | 'scoreCap' | 'logitCap'> {
  const cap = (field: string, fallback: number): number =>
    config.json[field] === null || (config.json[field] === undefined && fallback === 0)
      ? 0
      : config.positive(field, fallback);
  return {
    attentionScale: 1 / Math.sqrt(config.positive('query_pre_attn_scalar', 256)),
    scoreCap: caps.scoreCap === undefined ? 0 : cap('attn_logit_softcapping', caps.scoreCap),
    logitCap: cap('final_logit_softcapping', caps.logitCap),
  };
}

export const parseGemmaWindows = (
  config: ConfigReader,
  layers: number,
  isSliding: (layer: number) => boolean,
): number[] => parseWindows(config, layers, parseWindow(config, 4096), isSliding);
