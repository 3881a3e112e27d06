/**
 * DistilBERT (Sanh et al. 2019): BERT's post-norm encoder without segments and pooler; its
 * classification head is W·relu(W_pre·h₀).
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { ActivationName } from '@peft/ops';
import { defineArchitecture, type HeadOptions, type ModelOutput, type ModelRun } from '@peft/core';
import { attend } from '../parts/attend.js';
import { firstRows, isBare } from '../parts/classification-head.js';
import { headSizeOf, readConfig, type ConfigJson } from '../description/config-reader.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { embedTokens, sum } from '../parts/embed-tokens.js';

/** What the `config.json` of DistilBERT says, checked, in this package's words. */
export interface DistilbertConfig {
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
  readonly positions: number;
  readonly activation: ActivationName;
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  readonly initializerRange: number;
}

const EPSILON = 1e-12;

/**
 * DistilBERT, `model_type` `distilbert` (Sanh et al. 2019). The reference is transformers'
 * implementation.
 */
export const distilbert = defineArchitecture<DistilbertConfig>({
  family: 'DistilBERT',
  modelTypes: ['distilbert'],
  conventions: {
    distilbert: { adapterHub: { className: 'DistilBert', prefixName: 'self' } },
  },
  heads: ['sequence-classification', 'token-classification'],

  parseConfig(json: ConfigJson) {
    const config = readConfig('DistilBERT', json);
    const hiddenSize = config.size('dim', 768);
    const heads = config.size('n_heads', 12);
    headSizeOf(config, hiddenSize, heads, 'n_heads');
    return {
      vocabularySize: config.size('vocab_size', 30522),
      hiddenSize,
      layers: config.size('n_layers', 6),
      heads,
      feedForwardSize: config.size('hidden_dim', 3072),
      positions: config.size('max_position_embeddings', 512),
      activation: config.activation('activation', 'gelu'),
      dropout: config.rate('dropout', 0.1),
      attentionDropout: config.rate('attention_dropout', 0.1),
      classifierDropout: config.rate('seq_classif_dropout', 0.2),
      initializerRange: config.positive('initializer_range', 0.02),
    };
  },

  describe(config, head) {
    const { hiddenSize: D, feedForwardSize: F, heads, initializerRange: fresh } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const embeddings = within(prefix, 'embeddings');
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
      embedding: `${embeddings}.word_embeddings`,
    });
    for (let layer = 0; layer < config.layers; layer += 1) {
      const block = within(prefix, `transformer.layer.${layer}`);
      model.attention(`${block}.attention`, {
        role: 'attention',
        layer,
        heads,
        keyValueHeads: heads,
        headSize: D / heads,
        stack: 'encoder',
        index: layer,
      });
      for (const [name, part] of [
        ['q_lin', 'query'],
        ['k_lin', 'key'],
        ['v_lin', 'value'],
        ['out_lin', 'output'],
      ] as const)
        model.linear(`${block}.attention.${name}`, {
          role: `attention.${part}`,
          shape: [D, D],
          layer,
        });
      model.layerNorm(`${block}.sa_layer_norm`, { role: 'norm.attention', size: D, layer });
      model.sublayer(`${block}.attention`, {
        role: 'sublayer.attention',
        layer,
        size: D,
        branch: 'attention',
        stack: 'encoder',
      });
      model.linear(`${block}.ffn.lin1`, { role: 'ffn.up', shape: [F, D], layer });
      model.linear(`${block}.ffn.lin2`, { role: 'ffn.down', shape: [D, F], layer });
      model.layerNorm(`${block}.output_layer_norm`, { role: 'norm.ffn', size: D, layer });
      model.sublayer(`${block}.ffn`, {
        role: 'sublayer.ffn',
        layer,
        size: D,
        branch: 'ffn',
        stack: 'encoder',
      });
    }
    if (head.kind === 'sequence-classification')
      model.linear('pre_classifier', { role: 'head.dense', shape: [D, D], fresh });
    if ('outputs' in head && !isBare(head))
      model.linear('classifier', {
        role: 'head',
        shape: [head.outputs, D],
        isOutputHead: true,
        fresh,
      });
    return model.build({
      modelType: 'distilbert',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.positions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'distilbert',
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
      run.embed(`${embeddings}.position_embeddings`, tokens.positions),
    );
    const { x, offsets } = run.sequence(
      embeddings,
      run.dropout(
        embeddings,
        run.norm(`${embeddings}.LayerNorm`, embedded, EPSILON),
        config.dropout,
      ),
      tokens.offsets,
    );
    const states = [x];
    for (let layer = 0; layer < config.layers; layer += 1) {
      states.push(
        run.layer(layer, [states.at(-1)!], (input) =>
          runBlock(run, within(prefix, `transformer.layer.${layer}`), config, input, offsets),
        ),
      );
    }
    const hidden = states.at(-1)!;
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? states : undefined,
    };
    if (isBare(head)) return output;
    if (head.kind === 'token-classification')
      return {
        ...output,
        logits: run.linear('classifier', run.dropout('classifier', hidden, config.dropout)),
      };
    const features = run.linear('pre_classifier', firstRows(hidden, offsets), 'relu'); // [B, D]
    return {
      ...output,
      logits: run.linear(
        'classifier',
        run.dropout('classifier', features, config.classifierDropout),
      ),
    };
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'distilbert');

/** a = LN(x + attention(x)), y = LN(a + dropout(W₂·f(W₁·a))) */
function runBlock(
  run: ModelRun,
  block: string,
  config: DistilbertConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  const [q, k, v] = ['q_lin', 'k_lin', 'v_lin'].map((name) =>
    run.linear(`${block}.attention.${name}`, x),
  ) as [Tensor2D, Tensor2D, Tensor2D]; // each [N, D]
  const context = attend(run, `${block}.attention`, q, k, v, {
    offsets,
    heads: config.heads,
    hidden: x,
    dropoutRate: config.attentionDropout,
  });
  const close = (module: string, norm: string, input: Tensor2D, output: Tensor2D): Tensor2D =>
    run.sublayer(`${block}.${module}`, {
      input,
      output,
      residual: input,
      offsets,
      norm: (y) => run.norm(`${block}.${norm}`, y, EPSILON),
    });
  const attended = close(
    'attention',
    'sa_layer_norm',
    x,
    run.linear(`${block}.attention.out_lin`, context),
  );
  const inner = run.linear(`${block}.ffn.lin1`, attended, config.activation); // [N, F]
  return close(
    'ffn',
    'output_layer_norm',
    attended,
    run.dropout(`${block}.ffn`, run.linear(`${block}.ffn.lin2`, inner), config.dropout),
  );
}
