/**
 * MPNet (Song et al. 2020): RoBERTa's encoder without segments, and with a bias of the scores by
 * relative position, which all blocks share.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { defineArchitecture, type HeadOptions, type ModelOutput, type ModelRun } from '@peft/core';
import { freezeTensor, isFrozenTensor, relativePositionBuckets } from '@peft/ops';
import type { ConfigJson } from '../../description/config-reader.js';
import { DescriptionBuilder, within } from '../../description/describe.js';
import type { AttendOptions } from '../../parts/attend.js';
import { firstRows, isBare } from '../../parts/classification-head.js';
import { describeDenseHead, runDenseHead } from '../dense-head.js';
import { embedTokens, sum } from '../../parts/embed-tokens.js';
import { describeBertBlock, runBertBlock } from './bert-encoder.js';
import { BERT_FORM, type BertForm } from './bert-form.js';
import { parseRobertaConfig, positionRows, type RobertaConfig } from './roberta.js';

const FORM: BertForm = {
  ...BERT_FORM,
  self: 'attention.attn',
  modules: {
    ...BERT_FORM.modules,
    query: 'attention.attn.q',
    key: 'attention.attn.k',
    value: 'attention.attn.v',
    output: 'attention.attn.o',
    attentionNorm: 'attention.LayerNorm',
  },
  attentionSublayer: 'attention',
};

/** transformers counts buckets by these, whatever the config says. */
const BUCKETS = 32;
const MOST_DISTANCE = 128;

/**
 * MPNet, `model_type` `mpnet` (Song et al. 2020). The reference is transformers' implementation.
 */
export const mpnet = defineArchitecture<RobertaConfig>({
  family: 'MPNet',
  modelTypes: ['mpnet'],
  conventions: {
    mpnet: { adapterHub: { className: 'MPNet' } },
  },
  heads: ['sequence-classification', 'token-classification'],

  parseConfig(json: ConfigJson) {
    // its positions follow id 1, whatever pad_token_id says
    const shared = parseRobertaConfig(
      'MPNet',
      { ...json, pad_token_id: 1 },
      { vocabularySize: 30527, hiddenSize: 768, heads: 12, feedForwardSize: 3072 },
      (config) =>
        config.only(
          'relative_attention_num_buckets',
          BUCKETS,
          'transformers computes positions for that many alone',
        ),
    );
    // its heads take the dropout of the hidden states
    return { ...shared, form: FORM, classifierDropout: shared.hiddenDropout };
  },

  describe(config, head) {
    const { hiddenSize: D, initializerRange: fresh } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const embeddings = within(prefix, 'embeddings');
    const word = `${embeddings}.word_embeddings`;
    model.sequence(word, { role: 'sequence', size: D, stack: 'encoder', embedding: word });
    model.embedding(word, { role: 'embedding.word', rows: config.vocabularySize, size: D });
    model.embedding(`${embeddings}.position_embeddings`, {
      role: 'embedding.position',
      rows: config.positions,
      size: D,
    });
    model.layerNorm(`${embeddings}.LayerNorm`, { role: 'norm.embedding', size: D });
    model.sequence(embeddings, {
      role: 'sequence.embedded',
      size: D,
      stack: 'encoder',
      embedding: word,
    });
    for (let layer = 0; layer < config.layers; layer += 1)
      describeBertBlock(model, blockOf(prefix, layer), config, layer);
    model.embedding(tableOf(prefix), {
      role: 'embedding.relative',
      rows: BUCKETS,
      size: config.heads,
    });
    if (isBare(head)) model.linear('pooler.dense', { role: 'pooler', shape: [D, D], fresh });
    describeDenseHead(model, head, config);
    return model.build({
      modelType: 'mpnet',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions - config.paddingId - 1,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'mpnet',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const embeddings = within(prefix, 'embeddings');
    const word = `${embeddings}.word_embeddings`;
    const tokens = embedTokens(run, { embedding: word, sequence: word, stack: 'encoder' }, batch);
    const embedded = sum(
      tokens.x,
      run.embed(`${embeddings}.position_embeddings`, positionRows(tokens, config.paddingId, batch)),
    );
    const normed = run.norm(`${embeddings}.LayerNorm`, embedded, config.epsilon);
    const { x, offsets } = run.sequence(
      embeddings,
      run.dropout(embeddings, normed, config.hiddenDropout),
      tokens.offsets,
    );
    const bias = relativeBias(run, tableOf(prefix));
    const states = [x];
    for (let layer = 0; layer < config.layers; layer += 1)
      states.push(
        run.layer(layer, [states.at(-1)!, bias.values], (input, values) =>
          runBertBlock(run, blockOf(prefix, layer), config, input, offsets, {
            bias: { ...bias, values },
          }),
        ),
      );
    const hidden = states.at(-1)!;
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? states : undefined,
    };
    if (head.kind === 'pooled-linear') return output;
    const dense = (path: string) => run.linear(path, firstRows(hidden, offsets), 'tanh');
    if (head.kind === 'none') return { ...output, pooled: dense('pooler.dense') };
    return { ...output, logits: runDenseHead(run, output, 'tanh', config.classifierDropout) };
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'mpnet');
const blockOf = (prefix: string, layer: number): string => within(prefix, `encoder.layer.${layer}`);
const tableOf = (prefix: string): string => within(prefix, 'encoder.relative_attention_bias');

/** The table `[buckets, H]`, turned to `[H, buckets]`, and which bucket a distance is in. */
function relativeBias(run: ModelRun, path: string): NonNullable<AttendOptions['bias']> {
  const table = run.sharedRows(() =>
    run.embed(
      path,
      Int32Array.from({ length: BUCKETS }, (_, bucket) => bucket),
    ),
  );
  const turned = tf.transpose(table) as Tensor2D;
  return {
    values: isFrozenTensor(table) ? freezeTensor(turned) : turned,
    ...relativePositionBuckets({
      buckets: BUCKETS,
      maxDistance: MOST_DISTANCE,
      bidirectional: true,
    }),
  };
}
