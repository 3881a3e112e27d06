/**
 * ELECTRA's discriminator (Clark et al. 2020): BERT's encoder on embeddings that may be narrower
 * than the model and are projected to it; its classification head is W_out·gelu(W_dense·h₀).
 */
import { defineArchitecture, type HeadOptions, type ModelBatch, type ModelRun } from '@peft/core';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  describeBertEncoder,
  parseBertConfig,
  runBertEncoder,
  type BertEncoderConfig,
} from './bert-encoder.js';
import { isBare } from '../../parts/classification-head.js';
import { describeDenseHead, runDenseHead } from '../dense-head.js';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { DescriptionBuilder, within } from '../../description/describe.js';
import { describeEmbeddings, embedWithTypes } from '../../parts/typed-embeddings.js';

/** What the `config.json` of ELECTRA says, checked, in this package's words. */
export interface ElectraConfig extends BertEncoderConfig {
  readonly embeddingSize: number;
}

/**
 * ELECTRA's discriminator, `model_type` `electra` (Clark et al. 2020). The reference is
 * transformers' implementation.
 */
export const electra = defineArchitecture<ElectraConfig>({
  family: 'ELECTRA',
  modelTypes: ['electra'],
  conventions: {
    electra: {
      queryValueTargets: ['query', 'value'],
      adapterHub: { className: 'Electra', hasSublayerModules: true },
    },
  },
  heads: ['sequence-classification', 'token-classification'],

  parseConfig(json: ConfigJson) {
    const config = readConfig('ELECTRA', json);
    const shared = parseBertConfig(config, {
      vocabularySize: 30522,
      hiddenSize: 256,
      heads: 4,
      feedForwardSize: 1024,
    });
    return { ...shared, embeddingSize: config.size('embedding_size', 128) };
  },

  describe(config, head) {
    const { hiddenSize: D, embeddingSize } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const embeddings = within(prefix, 'embeddings');
    describeEmbeddings(model, embeddings, { ...config, size: embeddingSize });
    if (embeddingSize !== D)
      model.linear(within(prefix, 'embeddings_project'), {
        role: 'embedding.projection',
        shape: [D, embeddingSize],
      });
    describeBertEncoder(model, prefix, config);
    describeDenseHead(model, head, config);
    return model.build({
      modelType: 'electra',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'electra',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const { x, offsets } = embed(run, prefix, config, batch);
    const output = runBertEncoder(run, prefix, config, x, offsets);
    if (isBare(head)) return output;
    return { ...output, logits: runDenseHead(run, output, 'gelu', config.classifierDropout) };
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'electra');

function embed(
  run: ModelRun,
  prefix: string,
  config: ElectraConfig,
  batch: ModelBatch,
): { x: Tensor2D; offsets: Int32Array } {
  const embedded = embedWithTypes(run, within(prefix, 'embeddings'), config, batch);
  return {
    x:
      config.embeddingSize === config.hiddenSize
        ? embedded.x
        : run.linear(within(prefix, 'embeddings_project'), embedded.x),
    offsets: embedded.offsets,
  };
}
