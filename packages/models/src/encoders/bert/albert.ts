/**
 * ALBERT (Lan et al. 2020): narrow embeddings with a projection, and blocks that the layers share:
 * layer i runs the blocks of group ⌊i·groups/layers⌋, one after the other.
 */
import { defineArchitecture, type HeadOptions, type ModelOutput, type ModelRun } from '@peft/core';
import type { Tensor2D } from '@tensorflow/tfjs';
import { readConfig, type ConfigJson } from '../../description/config-reader.js';
import { DescriptionBuilder, within } from '../../description/describe.js';
import { isBare } from '../../parts/classification-head.js';
import { describePooledHead, withPooledHead } from './pooled-head.js';
import { describeEmbeddings, embedWithTypes } from '../../parts/typed-embeddings.js';
import {
  describeBertBlock,
  parseBertConfig,
  runBertBlock,
  type BertEncoderConfig,
} from './bert-encoder.js';
import type { BertForm } from './bert-form.js';

const FORM: BertForm = {
  self: 'attention',
  modules: {
    query: 'attention.query',
    key: 'attention.key',
    value: 'attention.value',
    output: 'attention.dense',
    attentionNorm: 'attention.LayerNorm',
    up: 'ffn',
    down: 'ffn_output',
    ffnNorm: 'full_layer_layer_norm',
  },
  order: ['ffnNorm', 'query', 'key', 'value', 'output', 'attentionNorm', 'up', 'down'],
  attentionSublayer: 'attention',
  ffnSublayer: 'ffn_output',
  isPreNorm: false,
};

/** What the `config.json` of ALBERT says, checked, in this package's words. */
export interface AlbertConfig extends BertEncoderConfig {
  readonly embeddingSize: number;
  readonly groups: number;
  /** Blocks of a group. */
  readonly groupBlocks: number;
}

/**
 * ALBERT, `model_type` `albert` (Lan et al. 2019). The reference is transformers' implementation.
 */
export const albert = defineArchitecture<AlbertConfig>({
  family: 'ALBERT',
  modelTypes: ['albert'],
  conventions: {
    albert: { adapterHub: { className: 'Albert' } },
  },
  heads: ['sequence-classification', 'token-classification'],

  parseConfig(json: ConfigJson) {
    const config = readConfig('ALBERT', json);
    const shared = parseBertConfig(config, {
      vocabularySize: 30000,
      hiddenSize: 4096,
      heads: 64,
      feedForwardSize: 16384,
      activation: 'gelu_new',
      hiddenDropout: 0,
    });
    const groups = config.size('num_hidden_groups', 1);
    if (groups > shared.layers)
      config.refuse('num_hidden_groups', groups, `at most num_hidden_layers (${shared.layers})`);
    return {
      ...shared,
      form: FORM,
      embeddingSize: config.size('embedding_size', 128),
      groups,
      groupBlocks: config.size('inner_group_num', 1),
      ffnDropout: 0,
      classifierDropout: config.rate('classifier_dropout_prob', 0.1),
    };
  },

  describe(config, head) {
    const { hiddenSize: D, embeddingSize } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    describeEmbeddings(model, within(prefix, 'embeddings'), { ...config, size: embeddingSize });
    model.linear(mappingOf(prefix), { role: 'embedding.projection', shape: [D, embeddingSize] });
    for (let block = 0; block < config.groups * config.groupBlocks; block += 1)
      describeBertBlock(model, blockPath(prefix, config, block), config, block);
    describePooledHead(model, within(prefix, 'pooler'), head, config);
    return model.build({
      modelType: 'albert',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers * config.groupBlocks, decoder: 0 },
      maxPositions: config.positions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'albert',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const { x, offsets } = embedWithTypes(run, within(prefix, 'embeddings'), config, batch);
    const states = runLayers(run, prefix, config, run.linear(mappingOf(prefix), x), offsets);
    const hidden = states.at(-1)!;
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? states : undefined,
    };
    return withPooledHead(run, within(prefix, 'pooler'), output, config.classifierDropout);
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'albert');
const mappingOf = (prefix: string): string => within(prefix, 'encoder.embedding_hidden_mapping_in');
/** Path of a block, counted over all groups. */
const blockPath = (prefix: string, { groupBlocks }: AlbertConfig, block: number): string =>
  within(
    prefix,
    `encoder.albert_layer_groups.${Math.floor(block / groupBlocks)}.albert_layers.${block % groupBlocks}`,
  );

/** Each block's state, x first; what is random differs from one pass of a block to the next. */
function runLayers(
  run: ModelRun,
  prefix: string,
  config: AlbertConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D[] {
  const states = [x];
  for (let layer = 0; layer < config.layers; layer += 1) {
    const group = Math.floor((layer * config.groups) / config.layers);
    for (let inner = 0; inner < config.groupBlocks; inner += 1) {
      const path = blockPath(prefix, config, group * config.groupBlocks + inner);
      states.push(
        run.layer(layer * config.groupBlocks + inner, [states.at(-1)!], (input) =>
          run.repeated(layer, () => runBertBlock(run, path, config, input, offsets)),
        ),
      );
    }
  }
  return states;
}
