/**
 * RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT's encoder with positions that
 * start after the padding id, and a classification head of its own on the first token:
 * W_out·tanh(W_dense·h₀).
 */
import {
  defineArchitecture,
  type Architecture,
  type HeadOptions,
  type ModelBatch,
  type ModelRun,
} from '@peft/core';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  describeBertEncoder,
  parseBertConfig,
  runBertEncoder,
  type BertDefaults,
  type BertEncoderConfig,
} from './bert-encoder.js';
import { firstRows, isBare } from '../../parts/classification-head.js';
import { describeDenseHead, runDenseHead } from '../dense-head.js';
import { readConfig, type ConfigJson, type ConfigReader } from '../../description/config-reader.js';
import { DescriptionBuilder, within } from '../../description/describe.js';
import { embedTokens, sum, type EmbeddedTokens } from '../../parts/embed-tokens.js';

/** What the `config.json` of RoBERTa and its namesakes says, checked, in this package's words. */
export interface RobertaConfig extends BertEncoderConfig {
  readonly modelType: string;
  readonly paddingId: number;
}

/** What RoBERTa and its namesakes share beside their config. */
export const robertaParts: Pick<Architecture<RobertaConfig>, 'heads' | 'describe' | 'forward'> = {
  heads: ['sequence-classification', 'token-classification'],

  describe(config, head) {
    const { hiddenSize: D, initializerRange: fresh } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const embeddings = within(prefix, 'embeddings');
    // the order in which transformers lists it
    const isHeadFirst = ['xlm-roberta', 'camembert'].includes(config.modelType);
    if (isHeadFirst) describeDenseHead(model, head, config);
    model.sequence(`${embeddings}.word_embeddings`, {
      role: 'sequence',
      size: D,
      stack: 'encoder',
      embedding: `${embeddings}.word_embeddings`,
    });
    model.embedding(`${embeddings}.word_embeddings`, {
      role: 'embedding.word',
      rows: config.vocabularySize,
      size: D,
    });
    model.embedding(`${embeddings}.token_type_embeddings`, {
      role: 'embedding.token-type',
      rows: config.tokenTypes,
      size: D,
    });
    if (!config.form.isPreNorm)
      model.layerNorm(`${embeddings}.LayerNorm`, { role: 'norm.embedding', size: D });
    model.sequence(embeddings, {
      role: 'sequence.embedded',
      size: D,
      stack: 'encoder',
      embedding: `${embeddings}.word_embeddings`,
    });
    model.embedding(`${embeddings}.position_embeddings`, {
      role: 'embedding.position',
      rows: config.positions,
      size: D,
    });
    describeBertEncoder(model, prefix, config);
    if (isBare(head)) model.linear('pooler.dense', { role: 'pooler', shape: [D, D], fresh });
    if (!isHeadFirst) describeDenseHead(model, head, config);
    return model.build({
      modelType: config.modelType,
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions - config.paddingId - 1,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'roberta',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const { x, offsets } = embed(run, within(prefix, 'embeddings'), config, batch);
    const output = runBertEncoder(run, prefix, config, x, offsets);
    if (head.kind === 'pooled-linear') return output;
    if (head.kind === 'none') {
      const first = firstRows(output.hidden, output.offsets);
      return { ...output, pooled: run.linear('pooler.dense', first, 'tanh') };
    }
    return { ...output, logits: runDenseHead(run, output, 'tanh', config.classifierDropout) };
  },
};

/**
 * RoBERTa and XLM-R, `model_type` `roberta`, `xlm-roberta` (Liu et al. 2019, Conneau et al. 2019).
 * The reference is transformers' implementation.
 */
export const roberta = defineArchitecture<RobertaConfig>({
  ...robertaParts,
  family: 'RoBERTa',
  modelTypes: ['roberta', 'xlm-roberta'],
  conventions: {
    roberta: {
      queryValueTargets: ['query', 'value'],
      adapterHub: { className: 'Roberta', hasSublayerModules: true },
    },
    'xlm-roberta': {
      queryValueTargets: ['query', 'value'],
      adapterHub: { className: 'XLMRoberta', hasSublayerModules: true },
    },
  },
  parseConfig: (json: ConfigJson) =>
    parseRobertaConfig('RoBERTa', json, {
      vocabularySize: json['model_type'] === 'xlm-roberta' ? 30522 : 50265,
      hiddenSize: 768,
      heads: 12,
      feedForwardSize: 3072,
    }),
});

/**
 * The fields of a family whose positions start after the padding id.
 * @param checkMore what else is refused.
 */
export function parseRobertaConfig(
  family: string,
  json: ConfigJson,
  defaults: BertDefaults,
  checkMore: (config: ConfigReader) => void = () => undefined,
): RobertaConfig {
  const config = readConfig(family, json);
  checkMore(config);
  const shared = parseBertConfig(config, defaults);
  const paddingId = config.tokenId('pad_token_id') ?? 1;
  if (shared.positions <= paddingId + 1)
    config.refuse(
      'max_position_embeddings',
      shared.positions,
      `more than pad_token_id + 1 = ${paddingId + 1}`,
    );
  return { ...shared, modelType: String(json['model_type'] ?? 'roberta'), paddingId };
}

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'roberta');

function embed(
  run: ModelRun,
  path: string,
  config: RobertaConfig,
  batch: ModelBatch,
): { x: Tensor2D; offsets: Int32Array } {
  const word = `${path}.word_embeddings`;
  const tokens = embedTokens(run, { embedding: word, sequence: word, stack: 'encoder' }, batch);
  const embedded = sum(
    tokens.x,
    run.embed(`${path}.token_type_embeddings`, tokens.tokenTypes),
    run.embed(`${path}.position_embeddings`, positionRows(tokens, config.paddingId, batch)),
  ); // [N, D]
  return run.sequence(
    path,
    run.dropout(
      path,
      config.form.isPreNorm ? embedded : run.norm(`${path}.LayerNorm`, embedded, config.epsilon),
      config.hiddenDropout,
    ),
    tokens.offsets,
  );
}

/**
 * Position t is row t + paddingId + 1; a padding token within a text stands at row paddingId and
 * does not count.
 */
export function positionRows(
  { positions, extra }: Pick<EmbeddedTokens, 'positions' | 'extra'>,
  paddingId: number,
  batch: ModelBatch,
): Int32Array {
  if (batch.positionIds && extra === 0) return batch.positionIds;
  const rows = positions.map((position) => position + paddingId + 1);
  if (extra > 0 || batch.inputsEmbeds || !batch.inputIds.includes(paddingId)) return rows;
  for (let b = 0; b + 1 < batch.offsets.length; b += 1) {
    let skipped = 0;
    for (let n = batch.offsets[b]!; n < batch.offsets[b + 1]!; n += 1) {
      const isPadding = batch.inputIds[n] === paddingId;
      if (isPadding) skipped += 1;
      rows[n] = isPadding ? paddingId : rows[n]! - skipped;
    }
  }
  return rows;
}
