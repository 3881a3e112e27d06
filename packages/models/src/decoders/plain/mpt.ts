/**
 * MPT (MosaicML 2023): layer norms without bias, scores that fall with the distance (ALiBi), one
 * projection for queries, keys and values, which may be kept within bounds.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import {
  fusedAttention,
  LAYER_NORM,
  LLAMA_FORM,
  plainFeedForward,
  type DecoderForm,
} from '../../decoder/decoder-form.js';
import { decoderParts } from '../../decoder/decoder.js';

const FORM: DecoderForm = {
  ...LLAMA_FORM,
  prefix: 'transformer',
  word: 'wte',
  blocks: 'blocks',
  finalNorm: 'norm_f',
  tokenHead: 'classifier',
  norm: { ...LAYER_NORM, bias: false },
  norms: { attention: 'norm_1', ffn: 'norm_2' },
  order: ['attention', 'self', 'ffn', 'feedForward'],
  attention: fusedAttention('attn', 'blocks', 'Wqkv', 'out_proj'),
  ffn: plainFeedForward('ffn', 'up_proj', 'down_proj'),
};

/** MPT, `model_type` `mpt`. The reference is transformers' implementation. */
export const mpt = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'MPT',
  modelTypes: ['mpt'],
  conventions: {
    mpt: { queryValueTargets: ['Wqkv'], adapterHub: { className: 'Mpt' } },
  },
  parseConfig(json: ConfigJson) {
    const config = readConfig('MPT', {
      ...json,
      ffn: 4 * Number(json['d_model'] ?? 2048), // whatever expansion_ratio says, as in transformers
      hidden_act: null,
      num_key_value_heads: null,
      head_dim: null,
    });
    const nested: unknown = json['attn_config'] ?? {};
    if (typeof nested !== 'object' || Array.isArray(nested))
      config.refuse('attn_config', nested, 'an object');
    const attention = readConfig('MPT', nested as ConfigJson);
    attention.only('qk_ln', false, 'norms of queries and keys are not supported');
    attention.only('prefix_lm', false, 'only the causal decoder is supported');
    attention.only('attn_type', 'multihead_attention', 'grouped heads are not supported');
    attention.only('alibi', true, 'positions other than ALiBi are not supported');
    const shared = parseDecoderConfig(config, {
      vocabularySize: 50368,
      hiddenSize: 2048,
      layers: 24,
      heads: 16,
      feedForwardSize: 8192,
      maxPositions: 2048,
      isTied: true,
      epsilon: 1e-5,
      activation: 'gelu',
      fields: {
        hiddenSize: 'd_model',
        layers: 'n_layers',
        heads: 'n_heads',
        feedForwardSize: 'ffn',
        maxPositions: 'max_seq_len',
        epsilon: 'layer_norm_epsilon',
      },
    });
    const dropout = attention.rate('attn_pdrop', 0);
    const scale = attention.number('softmax_scale', 0);
    return {
      ...shared,
      form: FORM,
      rope: undefined,
      slopes: slopesOf(shared.heads),
      attentionScale: scale === 0 ? undefined : scale,
      queryKeyValueClip: attention.number('clip_qkv', 0),
      attentionDropout: dropout,
      residualDropout: dropout,
    };
  },
});

/** transformers takes 8, whatever `alibi_bias_max` says. */
const LARGEST_BIAS = 8;

/**
 * 2^(−k·8/n), n the next power of two; of those, every second first where there are too many.
 */
function slopesOf(heads: number): number[] {
  const count = 2 ** Math.ceil(Math.log2(heads));
  const all = Array.from({ length: count }, (_, k) =>
    Math.fround(1 / 2 ** Math.fround((k + 1) * (LARGEST_BIAS / count))),
  );
  if (count === heads) return all;
  const [even, odd] = [0, 1].map((rest) => all.filter((_, k) => k % 2 === rest));
  return [...odd!, ...even!].slice(0, heads);
}
