/**
 * ConvBERT (Jiang et al. 2020): BERT where half of each attention's columns come from attention
 * with fewer heads, and half from a convolution along the tokens whose kernel each token makes.
 *
 * Its convolutions see what stands next to a text. In transformers that is padding, where there is
 * any; here a text is computed as if it was alone.
 */
import {
  defineArchitecture,
  type HeadOptions,
  type ModelBatch,
  type ModelOutput,
  type ModelRun,
} from '@peft/core';
import type { Tensor2D } from '@tensorflow/tfjs';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { isBare } from '../parts/classification-head.js';
import { describeDenseHead, runDenseHead } from './dense-head.js';
import { describeEmbeddings, embedWithTypes } from '../parts/typed-embeddings.js';
import { parseBertConfig } from './bert/bert-encoder.js';
import { describeConvbertBlock, runConvbertBlock, type ConvbertConfig } from './convbert-block.js';

/**
 * ConvBERT, `model_type` `convbert` (Jiang et al. 2020). The reference is transformers'
 * implementation.
 */
export const convbert = defineArchitecture<ConvbertConfig>({
  family: 'ConvBERT',
  modelTypes: ['convbert'],
  conventions: {
    convbert: { adapterHub: { className: 'ConvBert' } },
  },
  heads: ['sequence-classification', 'token-classification'],

  parseConfig(json: ConfigJson) {
    const config = readConfig('ConvBERT', json);
    const shared = parseBertConfig(config, {
      vocabularySize: 30522,
      hiddenSize: 768,
      heads: 12,
      feedForwardSize: 3072,
    });
    const ratio = config.size('head_ratio', 2);
    const heads = Math.max(1, Math.floor(shared.heads / ratio));
    const headSize = Math.floor(shared.hiddenSize / heads / 2);
    if (shared.hiddenSize !== 2 * heads * headSize)
      config.refuse(
        'head_ratio',
        ratio,
        `such that twice the ${heads} heads that are left divide the width ${shared.hiddenSize}`,
      );
    const kernel = config.size('conv_kernel_size', 9);
    if (kernel % 2 === 0) config.refuse('conv_kernel_size', kernel, 'odd');
    const groups = config.size('num_groups', 1);
    if (shared.hiddenSize % groups !== 0 || shared.feedForwardSize % groups !== 0)
      config.refuse('num_groups', groups, 'a divisor of hidden_size and intermediate_size');
    return {
      ...shared,
      heads,
      headSize,
      kernel,
      groups,
      embeddingSize: config.size('embedding_size', 768),
    };
  },

  describe(config, head) {
    const { hiddenSize: D, embeddingSize } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    describeEmbeddings(model, within(prefix, 'embeddings'), { ...config, size: embeddingSize });
    if (embeddingSize !== D)
      model.linear(within(prefix, 'embeddings_project'), {
        role: 'embedding.projection',
        shape: [D, embeddingSize],
      });
    for (let layer = 0; layer < config.layers; layer += 1)
      describeConvbertBlock(model, within(prefix, `encoder.layer.${layer}`), config, layer);
    describeDenseHead(model, head, config);
    return model.build({
      modelType: 'convbert',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'convbert',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const { x, offsets } = embed(run, prefix, config, batch);
    const states = [x];
    for (let layer = 0; layer < config.layers; layer += 1)
      states.push(
        run.layer(layer, [states.at(-1)!], (input) =>
          runConvbertBlock(run, within(prefix, `encoder.layer.${layer}`), config, input, offsets),
        ),
      );
    const hidden = states.at(-1)!;
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? states : undefined,
    };
    if (isBare(head)) return output;
    return {
      ...output,
      logits: runDenseHead(run, output, config.activation, config.classifierDropout),
    };
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'convbert');

function embed(
  run: ModelRun,
  prefix: string,
  config: ConvbertConfig,
  batch: ModelBatch,
): { readonly x: Tensor2D; readonly offsets: Int32Array } {
  const { x, offsets } = embedWithTypes(run, within(prefix, 'embeddings'), config, batch);
  return {
    x:
      config.embeddingSize === config.hiddenSize
        ? x
        : run.linear(within(prefix, 'embeddings_project'), x),
    offsets,
  };
}
