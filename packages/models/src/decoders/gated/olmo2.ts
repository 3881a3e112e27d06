/**
 * OLMo 2 (OLMo Team 2024): `decoder.ts` with the norms behind the branches, and one RMS norm of all
 * heads' queries, one of their keys.
 *
 *   a = x + N₁(attention(x)), y = a + N₂(feedForward(a))
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import {
  parseDecoderConfig,
  type DecoderConfig,
  type DecoderDefaults,
} from '../../decoder/decoder-config.js';
import { LLAMA_FORM, RMS_NORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  norms: { attentionOutput: 'post_attention_layernorm', ffnOutput: 'post_feedforward_layernorm' },
  order: ['self', 'feedForward', 'attentionOutput', 'ffnOutput'],
  attention: {
    ...LLAMA_FORM.attention,
    norms: { query: 'q_norm', key: 'k_norm', over: 'all', norm: RMS_NORM },
  },
};

/** OLMo 2, `model_type` `olmo2` (OLMo Team 2025). The reference is transformers' implementation. */
export const olmo2 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  heads: ['causal-lm', 'sequence-classification'],
  family: 'OLMo 2',
  modelTypes: ['olmo2'],
  conventions: {
    olmo2: { adapterHub: { className: 'Olmo2' } },
  },
  parseConfig: (json: ConfigJson) => parseOlmo(readConfig('OLMo 2', json), {}),
});

/** The fields that OLMo 2 and 3 share. */
export function parseOlmo(
  config: ConfigReader,
  defaults: Pick<DecoderDefaults, 'theta'>,
): DecoderConfig {
  const hasBias = config.flag('attention_bias', false);
  return {
    ...parseDecoderConfig(config, {
      vocabularySize: 50304,
      hiddenSize: 4096,
      layers: 32,
      heads: 32,
      feedForwardSize: 11008,
      maxPositions: 2048,
      isTied: false,
      epsilon: 1e-5,
      paddingId: 1,
      ...defaults,
    }),
    form: FORM,
    bias: { queryKeyValue: hasBias, output: hasBias, feedForward: false },
  };
}
