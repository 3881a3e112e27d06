/**
 * The encoder of BERT (Devlin et al. 2019), which RoBERTa and ELECTRA share: L blocks with the norm
 * after each residual sum,
 *
 *   a = LN(x + dropout(W_o·attention(x))), y = LN(a + dropout(W_2·f(W_1·a)))
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ActivationName } from '@peft/ops';
import type { ModelRun } from '@peft/core';
import { attend } from '../parts/attend.js';
import { headSizeOf, type ConfigReader } from '../description/config-reader.js';
import { within, type DescriptionBuilder } from '../description/describe.js';

export interface BertEncoderConfig {
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
  readonly activation: ActivationName;
  readonly positions: number;
  readonly tokenTypes: number;
  readonly epsilon: number;
  readonly hiddenDropout: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  readonly initializerRange: number;
}

/** What the families' config classes start from. */
export type BertDefaults = Pick<
  BertEncoderConfig,
  'vocabularySize' | 'hiddenSize' | 'heads' | 'feedForwardSize'
>;

/** The fields that the three families share. */
export function parseBertConfig(config: ConfigReader, defaults: BertDefaults): BertEncoderConfig {
  config.only(
    'position_embedding_type',
    'absolute',
    'relative positions in attention are not supported',
  );
  config.only('is_decoder', false, 'only the encoder is supported');
  config.only('add_cross_attention', false, 'only the encoder is supported');
  const hiddenDropout = config.rate('hidden_dropout_prob', 0.1);
  const hiddenSize = config.size('hidden_size', defaults.hiddenSize);
  const heads = config.size('num_attention_heads', defaults.heads);
  headSizeOf(config, hiddenSize, heads, 'num_attention_heads');
  return {
    vocabularySize: config.size('vocab_size', defaults.vocabularySize),
    hiddenSize,
    layers: config.size('num_hidden_layers', 12),
    heads,
    feedForwardSize: config.size('intermediate_size', defaults.feedForwardSize),
    activation: config.activation('hidden_act', 'gelu'),
    positions: config.size('max_position_embeddings', 512),
    tokenTypes: config.size('type_vocab_size', 2),
    epsilon: config.positive('layer_norm_eps', 1e-12),
    hiddenDropout,
    attentionDropout: config.rate('attention_probs_dropout_prob', 0.1),
    classifierDropout: config.rate('classifier_dropout', hiddenDropout),
    initializerRange: config.positive('initializer_range', 0.02),
  };
}

/** Sites and parameters of the blocks. @param prefix the class prefix, or an empty string. */
export function describeBertEncoder(
  model: DescriptionBuilder,
  prefix: string,
  config: BertEncoderConfig,
): void {
  const { hiddenSize: D, feedForwardSize: F } = config;
  for (let layer = 0; layer < config.layers; layer += 1) {
    const block = within(prefix, `encoder.layer.${layer}`);
    model.attention(`${block}.attention.self`, {
      role: 'attention',
      layer,
      heads: config.heads,
      keyValueHeads: config.heads,
      headSize: D / config.heads,
      stack: 'encoder',
      index: layer,
    });
    for (const part of ['query', 'key', 'value'])
      model.linear(`${block}.attention.self.${part}`, {
        role: `attention.${part}`,
        shape: [D, D],
        layer,
      });
    model.linear(`${block}.attention.output.dense`, {
      role: 'attention.output',
      shape: [D, D],
      layer,
    });
    model.layerNorm(`${block}.attention.output.LayerNorm`, {
      role: 'norm.attention',
      size: D,
      layer,
    });
    model.sublayer(`${block}.attention.output`, {
      role: 'sublayer.attention',
      layer,
      size: D,
      branch: 'attention',
      stack: 'encoder',
    });
    model.linear(`${block}.intermediate.dense`, { role: 'ffn.up', shape: [F, D], layer });
    model.linear(`${block}.output.dense`, { role: 'ffn.down', shape: [D, F], layer });
    model.layerNorm(`${block}.output.LayerNorm`, { role: 'norm.ffn', size: D, layer });
    model.sublayer(`${block}.output`, {
      role: 'sublayer.ffn',
      layer,
      size: D,
      branch: 'ffn',
      stack: 'encoder',
    });
  }
}

/** Runs the blocks. @param x embeddings `[N, D]`. @returns each state, x first. */
export function runBertEncoder(
  run: ModelRun,
  prefix: string,
  config: BertEncoderConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D[] {
  const states = [x];
  for (let layer = 0; layer < config.layers; layer += 1) {
    states.push(
      run.layer(layer, [states.at(-1)!], (input) =>
        runBlock(run, within(prefix, `encoder.layer.${layer}`), config, input, offsets),
      ),
    );
  }
  return states;
}

function runBlock(
  run: ModelRun,
  block: string,
  config: BertEncoderConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  const { heads, epsilon, hiddenDropout } = config;
  const [q, k, v] = ['query', 'key', 'value'].map((part) =>
    run.linear(`${block}.attention.self.${part}`, x),
  ) as [Tensor2D, Tensor2D, Tensor2D]; // each [N, D]
  const context = attend(run, `${block}.attention.self`, q, k, v, {
    offsets,
    heads,
    hidden: x,
    dropoutRate: config.attentionDropout,
  });
  const close = (module: string, input: Tensor2D, features: Tensor2D): Tensor2D =>
    run.sublayer(`${block}.${module}`, {
      input,
      output: run.dropout(
        `${block}.${module}`,
        run.linear(`${block}.${module}.dense`, features),
        hiddenDropout,
      ),
      residual: input,
      offsets,
      norm: (y) => run.norm(`${block}.${module}.LayerNorm`, y, epsilon),
    });
  const attended = close('attention.output', x, context);
  return close(
    'output',
    attended,
    run.linear(`${block}.intermediate.dense`, attended, config.activation),
  ); // [N, F] inside
}
