/**
 * GLM-4-0414 (GLM Team 2025): `decoder.ts` with a norm before and after each branch, one projection
 * for gate and up, and rotary positions on half of a head, neighbours in pairs.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { LLAMA_FORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  norms: {
    attention: 'input_layernorm',
    attentionOutput: 'post_self_attn_layernorm',
    ffn: 'post_attention_layernorm',
    ffnOutput: 'post_mlp_layernorm',
  },
  order: ['self', 'feedForward', 'attention', 'ffn', 'attentionOutput', 'ffnOutput'],
  ffn: { ...LLAMA_FORM.ffn, kind: 'fused-gated', up: 'gate_up_proj' },
};

/** GLM-4, `model_type` `glm4` (Team GLM 2024). The reference is transformers' implementation. */
export const glm4 = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'GLM-4',
  modelTypes: ['glm4'],
  conventions: {
    glm4: { adapterHub: { className: 'Glm4' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('GLM-4', json);
    const shared = parseDecoderConfig(config, {
      vocabularySize: 151552,
      hiddenSize: 4096,
      layers: 40,
      heads: 32,
      keyValueHeads: 2,
      headSize: 128,
      feedForwardSize: 13696,
      maxPositions: 131072,
      isTied: false,
      epsilon: 1.5625e-7,
      partialRotary: 0.5,
      paddingId: 151329,
    });
    return {
      ...shared,
      form: FORM,
      rope: shared.rope && { ...shared.rope, interleaved: true },
      bias: {
        queryKeyValue: config.flag('attention_bias', true),
        output: false,
        feedForward: false,
      },
    };
  },
});
