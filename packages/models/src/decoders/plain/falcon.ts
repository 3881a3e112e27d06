/**
 * Falcon (Almazrouei et al. 2023) in its three forms: 7B (one key head, both branches behind one
 * norm), 40B and Falcon 2 (grouped heads, a norm for each branch), and the RefinedWeb models (a norm
 * in front of each branch, one after the other, and ALiBi in place of rotary positions).
 *
 * Of ALiBi: scores are (q·k + m·(j − i))/√E, and the slopes m are rounded to bfloat16.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { alibiSlopes } from '../../decoder/alibi-bias.js';
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
  word: 'word_embeddings',
  blocks: 'h',
  finalNorm: 'ln_f',
  tokenHead: 'classifier',
  norm: LAYER_NORM,
  attention: fusedAttention('self_attention', 'groups', 'query_key_value', 'dense'),
  ffn: plainFeedForward('mlp', 'dense_h_to_4h', 'dense_4h_to_h'),
};

/**
 * Falcon, `model_type` `falcon` (Almazrouei et al. 2023). The reference is transformers'
 * implementation.
 */
export const falcon = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'Falcon',
  modelTypes: ['falcon'],
  conventions: {
    falcon: { queryValueTargets: ['query_key_value'], adapterHub: { className: 'Falcon' } },
  },
  parseConfig(json: ConfigJson) {
    const flags = readConfig('Falcon', json);
    const isNew = flags.flag('new_decoder_architecture', false);
    const hiddenSize = json['n_embed'] ?? json['hidden_size'] ?? 4544;
    const config = readConfig('Falcon', {
      ...json,
      hidden_size: hiddenSize,
      head_dim: null,
      num_kv_heads: keyHeads(json, isNew, flags.flag('multi_query', true)),
      ffn_hidden_size: json['ffn_hidden_size'] ?? 4 * Number(hiddenSize),
    });
    const shared = parseDecoderConfig(config, {
      vocabularySize: 65024,
      hiddenSize: 4544,
      layers: 32,
      heads: 71,
      feedForwardSize: 18176,
      maxPositions: 2048,
      isTied: true,
      epsilon: 1e-5,
      activation: 'gelu',
      fields: {
        keyValueHeads: 'num_kv_heads',
        feedForwardSize: 'ffn_hidden_size',
        activation: 'activation',
        epsilon: 'layer_norm_epsilon',
        residualDropout: 'hidden_dropout',
      },
    });
    const hasBias = config.flag('bias', false);
    const hasAlibi = config.flag('alibi', false);
    if (isNew) config.only('parallel_attn', true, 'the new form has both branches side by side');
    else config.only('num_ln_in_parallel_attn', 1, 'the old form has one norm for both branches');
    const form = formOf(
      config.flag('parallel_attn', true),
      config.count('num_ln_in_parallel_attn', isNew ? 2 : 1),
    );
    return {
      ...shared,
      form,
      rope: hasAlibi ? undefined : shared.rope,
      slopes: hasAlibi
        ? alibiSlopes(shared.heads).map((slope) => bfloat16(slope) / Math.sqrt(shared.headSize))
        : undefined,
      // the first branch's dropout is the attention's where the two follow each other
      residualDropout: form.isParallel ? shared.residualDropout : shared.attentionDropout,
      ffnDropout: shared.residualDropout,
      // rotary attention has none in transformers
      attentionDropout: hasAlibi ? shared.attentionDropout : 0,
      bias: { queryKeyValue: hasBias, output: hasBias, feedForward: hasBias },
    };
  },
});

/** `num_kv_heads` counts in the new form; else there is one key head, or as many as heads. */
function keyHeads(json: ConfigJson, isNew: boolean, isMultiQuery: boolean): unknown {
  if (isNew) return json['num_kv_heads'];
  return isMultiQuery ? 1 : null;
}

function formOf(isParallel: boolean, norms: number): DecoderForm {
  if (!isParallel)
    return {
      ...FORM,
      order: ['self', 'feedForward', 'ffn', 'attention'],
    };
  return norms === 2
    ? {
        ...FORM,
        isParallel: true,
        norms: { attention: 'ln_attn', ffn: 'ln_mlp' },
        order: ['self', 'feedForward', 'attention', 'ffn'],
      }
    : {
        ...FORM,
        isParallel: true,
        norms: { attention: 'input_layernorm' },
        order: ['self', 'feedForward', 'attention'],
      };
}

/** The nearest number of 8 bits of precision, ties to even. */
function bfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0]!;
}
