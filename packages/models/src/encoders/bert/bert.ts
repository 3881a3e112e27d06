/**
 * BERT (Devlin et al. 2019): word, position and segment embeddings, post-norm encoder, tanh pooler
 * on the first token.
 *
 *   x = dropout(LN(E_word[id] + E_type[segment] + E_position[t]))
 */
import { defineArchitecture, type HeadOptions } from '@peft/core';
import {
  describeBertEncoder,
  parseBertConfig,
  runBertEncoder,
  type BertEncoderConfig,
} from './bert-encoder.js';
import { isBare } from '../../parts/classification-head.js';
import { describePooledHead, withPooledHead } from './pooled-head.js';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { DescriptionBuilder, within } from '../../description/describe.js';
import { describeEmbeddings, embedWithTypes } from '../../parts/typed-embeddings.js';

/**
 * BERT, `model_type` `bert` (Devlin et al. 2018). The reference is transformers' implementation.
 */
export const bert = defineArchitecture<BertEncoderConfig>({
  family: 'BERT',
  modelTypes: ['bert'],
  conventions: {
    bert: {
      queryValueTargets: ['query', 'value'],
      adapterHub: { className: 'Bert', hasSublayerModules: true },
    },
  },
  heads: ['sequence-classification', 'token-classification'],
  parseConfig: (json: ConfigJson) =>
    parseBertConfig(readConfig('BERT', json), {
      vocabularySize: 30522,
      hiddenSize: 768,
      heads: 12,
      feedForwardSize: 3072,
    }),

  describe(config, head) {
    const { hiddenSize: D } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const embeddings = within(prefix, 'embeddings');
    describeEmbeddings(model, embeddings, { ...config, size: D });
    describeBertEncoder(model, prefix, config);
    describePooledHead(model, within(prefix, 'pooler.dense'), head, config);
    return model.build({
      modelType: 'bert',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'bert',
    });
  },

  repeatBlocks: (config, order) => ({ ...config, layers: order.length }),

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const { x, offsets } = embedWithTypes(run, within(prefix, 'embeddings'), config, batch);
    const output = runBertEncoder(run, prefix, config, x, offsets);
    return withPooledHead(run, within(prefix, 'pooler.dense'), output, config.classifierDropout);
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'bert');
