/** The `config.json` of T5, mT5 and UMT5. */
import type { ActivationName } from '@peft/ops';
import { readConfig, type ConfigReader } from '../description/config-reader.js';

/** What a T5 model is made of. */
export interface T5Config {
  readonly modelType: string;
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly headSize: number; // E
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly relativeBuckets: number;
  readonly relativeDistance: number;
  /** Each block has a bias of its own, not the first one's (UMT5). */
  readonly hasOwnBiases: boolean;
  readonly activation: ActivationName;
  readonly isGated: boolean;
  readonly dropout: number;
  readonly classifierDropout: number;
  readonly epsilon: number;
  /** The output layer is the embedding. */
  readonly isTied: boolean;
  readonly scalesOutput: boolean;
  readonly decoderStartId: number;
  readonly endId: number;
  readonly initializerFactor: number;
}

/** @throws PEFT_MODEL_CONFIG */
export function parseT5Config(config: ConfigReader): T5Config {
  const { json } = config;
  config.only('is_encoder_decoder', true, 'an encoder alone is not this model');
  const isUnimax = json['model_type'] === 'umt5';
  const isMultilingual = json['model_type'] === 'mt5' || isUnimax;
  const encoderLayers = config.size('num_layers', isMultilingual ? 8 : 6);
  const isTied = config.flag('tie_word_embeddings', !isMultilingual);
  return {
    modelType: String(json['model_type'] ?? 't5'),
    vocabularySize: config.size('vocab_size', isMultilingual ? 250112 : 32128),
    hiddenSize: config.size('d_model', 512),
    headSize: config.size('d_kv', 64),
    heads: config.size('num_heads', isMultilingual ? 6 : 8),
    feedForwardSize: config.size('d_ff', isMultilingual ? 1024 : 2048),
    encoderLayers,
    decoderLayers: config.size('num_decoder_layers', encoderLayers),
    relativeBuckets: config.size('relative_attention_num_buckets', 32),
    relativeDistance: config.size('relative_attention_max_distance', 128),
    hasOwnBiases: isUnimax,
    ...feedForward(config, isMultilingual ? 'gated-gelu' : 'relu'),
    dropout: config.rate('dropout_rate', 0.1),
    classifierDropout: config.rate('classifier_dropout', 0),
    epsilon: config.positive('layer_norm_epsilon', 1e-6),
    isTied: isTied && config.flag('scale_decoder_outputs', true),
    scalesOutput: isUnimax || (!isMultilingual && config.flag('scale_decoder_outputs', isTied)),
    decoderStartId: config.tokenId('decoder_start_token_id') ?? config.tokenId('pad_token_id') ?? 0,
    endId: config.tokenId('eos_token_id') ?? 1,
    initializerFactor: config.positive('initializer_factor', 1),
  };
}

/**
 * `relu`, `gated-gelu` (which means the tanh form), `gated-silu` …; what it comes to may stand beside
 * it, and wins.
 */
function feedForward(
  config: ConfigReader,
  fallback: string,
): Pick<T5Config, 'activation' | 'isGated'> {
  const value = config.json['feed_forward_proj'] ?? fallback;
  const [first, second, ...more] = typeof value === 'string' ? value.split('-') : [];
  if (!first || more.length || (second !== undefined && first !== 'gated'))
    config.refuse('feed_forward_proj', value, 'an activation or "gated-" and an activation');
  const name = value === 'gated-gelu' ? 'gelu_new' : (second ?? first);
  const field = config.json['dense_act_fn'] ? 'dense_act_fn' : 'feed_forward_proj';
  const named = field === 'dense_act_fn' ? config.json[field] : name;
  return {
    activation: readConfig(config.family, { [field]: named }).activation(field),
    isGated: config.flag('is_gated_act', second !== undefined),
  };
}
