/** The config of BART and its relatives, and how their stacks differ. */
import type { ActivationName } from '@peft/ops';
import { headSizeOf, readConfig, type ConfigJson } from '../description/config-reader.js';

/** What sets a family apart. */
export interface BartForm {
  readonly modelType: string;
  /** Norms read a branch's input, and one more stands behind each stack. */
  readonly isPreNorm: boolean;
  /** A norm of the embeddings. */
  readonly hasEmbeddingNorm: boolean;
  /**
   * Tables of positions that the checkpoint holds (from row `offset` on) or, if `sinusoidal`, may
   * leave out; or computed ones, which are no parameters and stand behind the padding id.
   */
  readonly positions: 'learned' | 'sinusoidal' | 'computed';
  readonly positionOffset: number;
  /** A buffer that is added to the logits. */
  readonly hasLogitsBias: boolean;
  readonly heads: readonly ('seq2seq-lm' | 'sequence-classification')[];
}

/**
 * What the `config.json` of BART and what is built like it says, checked, in this package's words.
 */
export interface BartConfig {
  readonly form: BartForm;
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly encoder: StackSizes;
  readonly decoder: StackSizes;
  readonly maxPositions: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly activationDropout: number;
  readonly classifierDropout: number;
  /** Of the embedding's rows. */
  readonly tableScale: number;
  readonly isTied: boolean;
  readonly paddingId: number;
  readonly endId: number;
  /** Undefined: a sequence starts with its own last token (mBART). */
  readonly decoderStartId: number | undefined;
  /** Share of blocks that transformers leaves out at random in training; here none is. */
  readonly layerDrop: number;
  readonly initializerRange: number;
}

export interface StackSizes {
  readonly layers: number;
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
}

export interface BartDefaults {
  readonly vocabularySize: number;
  readonly activation?: string;
  readonly attentionDropout?: number;
  readonly paddingId: number;
  readonly endId: number;
  readonly startId: number | undefined;
  readonly scalesEmbedding?: boolean;
}

/** @throws PEFT_MODEL_CONFIG */
export function parseBartConfig(
  family: string,
  json: ConfigJson,
  form: BartForm,
  defaults: BartDefaults,
): BartConfig {
  const config = readConfig(family, json);
  config.only('is_decoder', false, 'only the whole encoder-decoder is supported');
  const hiddenSize = config.size('d_model', 1024);
  const stack = (name: 'encoder' | 'decoder'): StackSizes => {
    const heads = config.size(`${name}_attention_heads`, 16);
    headSizeOf(config, hiddenSize, heads, `${name}_attention_heads`);
    return {
      layers: config.size(`${name}_layers`, 12),
      heads,
      feedForwardSize: config.size(`${name}_ffn_dim`, 4096),
    };
  };
  return {
    form,
    vocabularySize: config.size('vocab_size', defaults.vocabularySize),
    hiddenSize,
    encoder: stack('encoder'),
    decoder: stack('decoder'),
    maxPositions: config.size('max_position_embeddings', 1024),
    activation: config.activation('activation_function', defaults.activation ?? 'gelu'),
    epsilon: 1e-5, // torch's own; the config has none
    dropout: config.rate('dropout', 0.1),
    attentionDropout: config.rate('attention_dropout', defaults.attentionDropout ?? 0),
    activationDropout: config.rate('activation_dropout', 0),
    classifierDropout: config.rate('classifier_dropout', 0),
    tableScale: config.flag('scale_embedding', defaults.scalesEmbedding ?? false)
      ? Math.sqrt(hiddenSize)
      : 1,
    isTied: config.flag('tie_word_embeddings', true),
    paddingId: config.tokenId('pad_token_id') ?? defaults.paddingId,
    endId: config.tokenId('eos_token_id') ?? defaults.endId,
    decoderStartId: config.tokenId('decoder_start_token_id') ?? defaults.startId,
    layerDrop: Math.max(config.rate('encoder_layerdrop', 0), config.rate('decoder_layerdrop', 0)),
    initializerRange: config.positive('init_std', 0.02),
  };
}
