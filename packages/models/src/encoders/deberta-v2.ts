/**
 * DeBERTa-v2 and v3 (He et al. 2021): an encoder whose attention reads contents and relative
 * positions apart ("disentangled"); absolute positions are optional. Blocks are BERT's otherwise.
 * With `conv_kernel_size` a convolution over the embeddings joins block 0:
 *
 *   h₁ ← LN(h₁ + f(dropout(conv(h₀))))
 */
import { activate } from '@peft/ops';
import {
  defineArchitecture,
  type HeadOptions,
  type ModelBatch,
  type ModelOutput,
  type ModelRun,
} from '@peft/core';
import type { Tensor2D } from '@tensorflow/tfjs';
import { firstRows, isBare } from '../parts/classification-head.js';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { convolve } from './convolve.js';
import { parseDebertaConfig, spanOf, type DebertaConfig } from './deberta-config.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { disentangled, relativeTable } from './disentangled.js';
import { embedTokens, sum } from '../parts/embed-tokens.js';

/** What the projections of relative embeddings map, in an error's words. */
const POSITIONS = 'a table of relative positions';

/** Projections of the tokens that project the table of relative embeddings, too. */
const sharedProjections = ({
  relative,
  sharesProjections,
  contentToPosition,
  positionToContent,
}: DebertaConfig): ReadonlySet<string> =>
  new Set(
    relative && sharesProjections
      ? [contentToPosition ? 'key' : [], positionToContent ? 'query' : []].flat()
      : [],
  );

/**
 * DeBERTa-v2 and v3, `model_type` `deberta-v2` (He et al. 2020, 2021). The reference is
 * transformers' implementation.
 */
export const debertaV2 = defineArchitecture<DebertaConfig>({
  family: 'DeBERTa-v2',
  modelTypes: ['deberta-v2'],
  conventions: {
    'deberta-v2': {
      queryValueTargets: ['query_proj', 'value_proj'],
      adapterHub: { className: 'DebertaV2', hasSublayerModules: true },
    },
  },
  heads: ['sequence-classification', 'token-classification'],
  parseConfig: (json: ConfigJson) => parseDebertaConfig(readConfig('DeBERTa-v2', json)),

  describe(config, head) {
    const {
      hiddenSize: D,
      feedForwardSize: F,
      embeddingSize,
      initializerRange: fresh,
      relative,
    } = config;
    const model = new DescriptionBuilder();
    const shared = sharedProjections(config);
    const prefix = prefixOf(head);
    const at = (path: string) => within(prefix, path);
    model.sequence(at('embeddings.word_embeddings'), {
      role: 'sequence',
      size: embeddingSize,
      stack: 'encoder',
      embedding: at('embeddings.word_embeddings'),
    });
    model.embedding(at('embeddings.word_embeddings'), {
      role: 'embedding.word',
      rows: config.vocabularySize,
      size: embeddingSize,
    });
    if (config.hasAbsolutePositions)
      model.embedding(at('embeddings.position_embeddings'), {
        role: 'embedding.position',
        rows: config.positions,
        size: embeddingSize,
      });
    if (config.tokenTypes > 0)
      model.embedding(at('embeddings.token_type_embeddings'), {
        role: 'embedding.token-type',
        rows: config.tokenTypes,
        size: embeddingSize,
      });
    if (embeddingSize !== D)
      model.linear(at('embeddings.embed_proj'), {
        role: 'embedding.projection',
        shape: [D, embeddingSize],
        bias: false,
      });
    model.layerNorm(at('embeddings.LayerNorm'), { role: 'norm.embedding', size: D });
    model.sequence(at('embeddings'), {
      role: 'sequence.embedded',
      size: D,
      stack: 'encoder',
      embedding: at('embeddings.word_embeddings'),
    });
    for (let layer = 0; layer < config.layers; layer += 1) {
      const block = at(`encoder.layer.${layer}`);
      model.attention(`${block}.attention.self`, {
        role: 'attention',
        layer,
        heads: config.heads,
        keyValueHeads: config.heads,
        headSize: D / config.heads,
        stack: 'encoder',
        index: layer,
        besideOnly: true,
      });
      for (const part of ['query', 'key', 'value'])
        model.linear(`${block}.attention.self.${part}_proj`, {
          role: `attention.${part}`,
          shape: [D, D],
          looseRows: shared.has(part) ? POSITIONS : undefined,
          layer,
        });
      if (relative && !config.sharesProjections) {
        if (config.contentToPosition)
          model.linear(`${block}.attention.self.pos_key_proj`, {
            role: 'attention.position-key',
            shape: [D, D],
            looseRows: POSITIONS,
            layer,
          });
        if (config.positionToContent)
          model.linear(`${block}.attention.self.pos_query_proj`, {
            role: 'attention.position-query',
            shape: [D, D],
            looseRows: POSITIONS,
            layer,
          });
      }
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
    if (relative) {
      model.embedding(at('encoder.rel_embeddings'), {
        role: 'embedding.relative',
        rows: 2 * spanOf(relative),
        size: D,
      });
      if (relative.isNormed)
        model.layerNorm(at('encoder.LayerNorm'), { role: 'norm.relative', size: D });
    }
    if (config.convolution) {
      model.tensor(at('encoder.conv.conv.weight'), [D, D, config.convolution.kernel]);
      model.tensor(at('encoder.conv.conv.bias'), [D]);
      model.layerNorm(at('encoder.conv.LayerNorm'), { role: 'norm.convolution', size: D });
    }
    if (head.kind === 'sequence-classification')
      model.linear('pooler.dense', { role: 'pooler', shape: [D, D], fresh });
    if ('outputs' in head && !isBare(head))
      model.linear('classifier', {
        role: 'head',
        shape: [head.outputs, D],
        isOutputHead: true,
        fresh,
      });
    return model.build({
      modelType: 'deberta-v2',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'deberta',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const { x, offsets } = embed(run, within(prefix, 'embeddings'), config, batch);
    const table = relativeTable(run, within(prefix, 'encoder'), config); // [2·span, D]
    const states = [x];
    for (let layer = 0; layer < config.layers; layer += 1) {
      const inputs = [states.at(-1)!, ...(table ? [table] : [])];
      const made = run.layer(layer, inputs, (input, relative) =>
        runBlock(run, within(prefix, `encoder.layer.${layer}`), config, input!, relative, offsets),
      );
      states.push(
        layer === 0 && config.convolution
          ? joinConvolution(run, within(prefix, 'encoder.conv'), config, x, made, offsets)
          : made,
      );
    }
    const hidden = states.at(-1)!;
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? states : undefined,
    };
    if (isBare(head)) return output;
    const features =
      head.kind === 'token-classification'
        ? run.dropout('classifier', hidden, config.hiddenDropout)
        : run.dropout('classifier', pool(run, config, hidden, offsets), config.classifierDropout);
    return { ...output, logits: run.linear('classifier', features) };
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'deberta');
function embed(
  run: ModelRun,
  path: string,
  config: DebertaConfig,
  batch: ModelBatch,
): { x: Tensor2D; offsets: Int32Array } {
  const word = `${path}.word_embeddings`;
  const { x, offsets, positions, tokenTypes } = embedTokens(
    run,
    { embedding: word, sequence: word, stack: 'encoder' },
    batch,
  );
  const terms = [x];
  if (config.hasAbsolutePositions) terms.push(run.embed(`${path}.position_embeddings`, positions));
  if (config.tokenTypes > 0) terms.push(run.embed(`${path}.token_type_embeddings`, tokenTypes));
  const embedded = sum(...terms);
  const wide =
    config.embeddingSize === config.hiddenSize
      ? embedded
      : run.linear(`${path}.embed_proj`, embedded); // [N, D]
  return run.sequence(
    path,
    run.dropout(path, run.norm(`${path}.LayerNorm`, wide, config.epsilon), config.hiddenDropout),
    offsets,
  );
}

function runBlock(
  run: ModelRun,
  block: string,
  config: DebertaConfig,
  x: Tensor2D,
  table: Tensor2D | undefined,
  offsets: Int32Array,
): Tensor2D {
  const { epsilon, hiddenDropout } = config;
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
  const attended = close(
    'attention.output',
    x,
    disentangled(run, `${block}.attention.self`, config, x, table, offsets),
  );
  return close(
    'output',
    attended,
    run.linear(`${block}.intermediate.dense`, attended, config.activation),
  ); // [N, F] inside
}

function joinConvolution(
  run: ModelRun,
  path: string,
  { convolution, epsilon, hiddenDropout }: DebertaConfig,
  x: Tensor2D,
  made: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  const convolved = run.dropout(
    path,
    convolve(x, run.vector(`${path}.conv.weight`), run.vector(`${path}.conv.bias`), offsets),
    hiddenDropout,
  );
  return run.norm(
    `${path}.LayerNorm`,
    sum(made, activate(convolution!.activation, convolved)),
    epsilon,
  );
}

function pool(
  run: ModelRun,
  config: DebertaConfig,
  hidden: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  return run.linear(
    'pooler.dense',
    run.dropout('pooler', firstRows(hidden, offsets), config.poolerDropout),
    config.poolerActivation,
  ); // [B, D]
}
