/**
 * GPT-Neo (Black et al. 2021): learned positions, layer norms, scores that are not scaled, and a
 * window in every second block.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import { parseDecoderConfig, type DecoderConfig } from '../../decoder/decoder-config.js';
import {
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
  blocks: 'h',
  finalNorm: 'ln_f',
  tokenHead: 'classifier',
  norm: LAYER_NORM,
  norms: { attention: 'ln_1', ffn: 'ln_2' },
  order: ['attention', 'self', 'ffn', 'feedForward'],
  attention: {
    ...LLAMA_FORM.attention,
    path: 'attn.attention',
    output: 'out_proj',
    order: ['key', 'value', 'query', 'output'],
  },
  ffn: plainFeedForward('mlp', 'c_fc', 'c_proj'),
};

/** GPT-Neo, `model_type` `gpt_neo`. The reference is transformers' implementation. */
export const gptNeo = defineArchitecture<DecoderConfig>({
  ...decoderParts,
  family: 'GPT-Neo',
  modelTypes: ['gpt_neo'],
  conventions: {
    gpt_neo: { queryValueTargets: ['q_proj', 'v_proj'], adapterHub: { className: 'GPTNeo' } },
  },
  parseConfig(json: ConfigJson) {
    const width = json['hidden_size'] ?? 2048;
    const config = readConfig('GPT-Neo', {
      ...json,
      num_key_value_heads: null,
      head_dim: null,
      intermediate_size: json['intermediate_size'] ?? 4 * Number(width),
    });
    const shared = parseDecoderConfig(config, {
      vocabularySize: 50257,
      hiddenSize: 2048,
      layers: 24,
      heads: 16,
      feedForwardSize: 8192,
      maxPositions: 2048,
      isTied: true,
      epsilon: 1e-5,
      activation: 'gelu_new',
      fields: {
        layers: 'num_layers',
        heads: 'num_heads',
        activation: 'activation_function',
        epsilon: 'layer_norm_epsilon',
        residualDropout: 'resid_dropout',
      },
    });
    return {
      ...shared,
      form: FORM,
      rope: undefined,
      learnedPositions: { path: 'wpe', offset: 0 },
      attentionScale: 1,
      embeddingDropout: config.rate('embed_dropout', 0),
      classifierDropout: config.rate('classifier_dropout', 0.1),
      windows: attentionKinds(config, shared.layers).map((kind) =>
        kind === 'local' ? config.size('window_size', 256) : 0,
      ),
      bias: { queryKeyValue: false, output: true, feedForward: true },
    };
  },
});

/**
 * `attention_layers`, the kind of each; else `attention_types`: lists of kinds, each with how often it
 * is repeated.
 */
function attentionKinds(config: ConfigReader, layers: number): readonly string[] {
  const listed = config.json['attention_layers'];
  if (listed !== undefined && listed !== null)
    return Array.isArray(listed) && listed.length === layers && listed.every(isKind)
      ? listed
      : config.refuse(
          'attention_layers',
          listed,
          `"global" or "local" for each of ${layers} blocks`,
        );
  const given = config.json['attention_types'] ?? [[['global', 'local'], 12]];
  const isItem = (item: unknown): item is [string[], number] =>
    Array.isArray(item) &&
    Array.isArray(item[0]) &&
    item[0].every(isKind) &&
    Number.isSafeInteger(item[1]) &&
    item[1] <= layers;
  const items: readonly unknown[] = Array.isArray(given) ? given : [];
  const kinds = items.every(isItem)
    ? items.flatMap(([each, times]) => Array.from({ length: times }, () => each).flat())
    : [];
  return kinds.length === layers
    ? kinds
    : config.refuse(
        'attention_types',
        given,
        `lists of "global" and "local" with a count each, ${layers} blocks in all`,
      );
}

const isKind = (kind: unknown): kind is string => kind === 'global' || kind === 'local';
