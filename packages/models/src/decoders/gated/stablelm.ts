/**
 * StableLM (Stability AI 2023–2024): `decoder.ts` with layer norms and rotary positions on a quarter
 * of a head; StableLM 2 may have a norm of its own for each head's queries and keys, and one norm
 * that both branches read.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import { LAYER_NORM, LLAMA_FORM, type DecoderForm } from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

/**
 * StableLM, `model_type` `stablelm` (Bellagente et al. 2024). The reference is transformers'
 * implementation.
 */
export const stablelm = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'StableLM',
  modelTypes: ['stablelm'],
  conventions: {
    stablelm: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'StableLm' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('StableLM', json);
    const shared = parseDecoderConfig(readConfig('StableLM', { ...json, head_dim: null }), {
      vocabularySize: 50304,
      hiddenSize: 2560,
      layers: 32,
      heads: 32,
      keyValueHeads: 32,
      feedForwardSize: 6912,
      maxPositions: 4096,
      isTied: false,
      epsilon: 1e-5,
      partialRotary: 0.25,
      fields: { epsilon: 'layer_norm_eps' },
    });
    return {
      ...shared,
      form: formOf(config.flag('use_parallel_residual', false), config.flag('qk_layernorm', false)),
      ffnDropout: config.rate('hidden_dropout', 0),
      bias: {
        queryKeyValue: config.flag('use_qkv_bias', false),
        output: false,
        feedForward: false,
      },
    };
  },
});

const formOf = (isParallel: boolean, normsQueryKey: boolean): DecoderForm => ({
  ...LLAMA_FORM,
  norm: LAYER_NORM,
  norms: isParallel ? { attention: 'input_layernorm' } : LLAMA_FORM.norms,
  isParallel,
  attention: {
    ...LLAMA_FORM.attention,
    norms: normsQueryKey
      ? {
          query: 'q_layernorm',
          key: 'k_layernorm',
          over: 'own-head',
          norm: { ...LAYER_NORM, bias: false },
        }
      : undefined,
  },
});
