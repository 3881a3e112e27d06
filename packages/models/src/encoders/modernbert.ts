/**
 * ModernBERT (Warner et al. 2024): a pre-norm encoder with rotary positions and gated feed-forward
 * networks, whose blocks attend to all or to their neighbours only; padding-free in the original,
 * too. Block 0 has no norm before its attention, as the embeddings are normed.
 *
 *   a = x + attention(LN(x)), y = a + W_o·(f(u) ⊙ g), [u, g] = W_i·LN(a)
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatedActivation, meanPool, rope, type ActivationName, type RopeTables } from '@peft/ops';
import { defineArchitecture, type HeadOptions, type ModelOutput, type ModelRun } from '@peft/core';
import { attend } from '../parts/attend.js';
import { firstRows, isBare } from '../parts/classification-head.js';
import {
  headSizeOf,
  readConfig,
  type ConfigJson,
  type ConfigReader,
} from '../description/config-reader.js';
import { parseWindows } from '../decoder/decoder-config.js';
import { parseRope, type RopeConfig } from '../decoder/rope-config.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { embedTokens } from '../parts/embed-tokens.js';
import { ropeTablesFor } from '../decoder/rope-tables-for.js';

/** What the `config.json` of ModernBERT says, checked, in this package's words. */
export interface ModernbertConfig {
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly headSize: number; // E
  readonly feedForwardSize: number; // F
  readonly maxPositions: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly hasNormBias: boolean;
  readonly hasAttentionBias: boolean;
  readonly hasFeedForwardBias: boolean;
  /** Span of neighbours that each block sees, both sides together; 0: all. */
  readonly windows: readonly number[];
  readonly rope: RopeConfig;
  readonly localRope: RopeConfig;
  readonly embeddingDropout: number;
  readonly attentionDropout: number;
  readonly feedForwardDropout: number;
  readonly classifierDropout: number;
  readonly hasClassifierBias: boolean;
  readonly classifierActivation: ActivationName;
  readonly classifierPooling: 'cls' | 'mean';
  readonly initializerRange: number;
}

/**
 * ModernBERT, `model_type` `modernbert` (Warner et al. 2024). The reference is transformers'
 * implementation.
 */
export const modernbert = defineArchitecture<ModernbertConfig>({
  family: 'ModernBERT',
  modelTypes: ['modernbert'],
  conventions: {
    modernbert: { adapterHub: { className: 'ModernBert' } },
  },
  heads: ['sequence-classification', 'token-classification'],
  parseConfig: (json: ConfigJson) => parse(readConfig('ModernBERT', json)),

  describe(config, head) {
    const {
      hiddenSize: D,
      feedForwardSize: F,
      heads,
      headSize,
      hasNormBias: bias,
      initializerRange: fresh,
    } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const word = within(prefix, 'embeddings.tok_embeddings');
    model.sequence(word, { role: 'sequence', size: D, stack: 'encoder', embedding: word });
    model.embedding(word, { role: 'embedding.word', rows: config.vocabularySize, size: D });
    model.layerNorm(within(prefix, 'embeddings.norm'), { role: 'norm.embedding', size: D, bias });
    for (let layer = 0; layer < config.layers; layer += 1) {
      const block = within(prefix, `layers.${layer}`);
      if (layer > 0)
        model.layerNorm(`${block}.attn_norm`, { role: 'norm.attention', size: D, bias, layer });
      model.attention(`${block}.attn`, {
        role: 'attention',
        layer,
        heads,
        keyValueHeads: heads,
        headSize,
        stack: 'encoder',
        index: layer,
      });
      model.linear(`${block}.attn.Wqkv`, {
        role: 'attention.query_key_value',
        shape: [3 * D, D],
        bias: config.hasAttentionBias,
        layer,
      });
      model.linear(`${block}.attn.Wo`, {
        role: 'attention.output',
        shape: [D, D],
        bias: config.hasAttentionBias,
        layer,
      });
      model.sublayer(`${block}.attn`, {
        role: 'sublayer.attention',
        layer,
        size: D,
        branch: 'attention',
        stack: 'encoder',
      });
      model.layerNorm(`${block}.mlp_norm`, { role: 'norm.ffn', size: D, bias, layer });
      model.linear(`${block}.mlp.Wi`, {
        role: 'ffn.gate_up',
        shape: [2 * F, D],
        bias: config.hasFeedForwardBias,
        layer,
      });
      model.linear(`${block}.mlp.Wo`, {
        role: 'ffn.down',
        shape: [D, F],
        bias: config.hasFeedForwardBias,
        layer,
      });
      model.sublayer(`${block}.mlp`, {
        role: 'sublayer.ffn',
        layer,
        size: D,
        branch: 'ffn',
        stack: 'encoder',
      });
    }
    model.layerNorm(within(prefix, 'final_norm'), { role: 'norm.final', size: D, bias });
    if ('outputs' in head && !isBare(head)) {
      model.linear('head.dense', {
        role: 'head.dense',
        shape: [D, D],
        bias: config.hasClassifierBias,
        fresh,
      });
      model.layerNorm('head.norm', { role: 'norm.head', size: D, bias, fresh: true });
      model.linear('classifier', {
        role: 'head',
        shape: [head.outputs, D],
        isOutputHead: true,
        fresh,
      });
    }
    return model.build({
      modelType: 'modernbert',
      head,
      hiddenSize: D,
      vocabularySize: config.vocabularySize,
      layers: { encoder: config.layers, decoder: 0 },
      maxPositions: config.maxPositions,
      headModules: isBare(head) ? [] : ['classifier'],
      basePrefix: 'model',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const word = within(prefix, 'embeddings.tok_embeddings');
    const { x, offsets, positions } = embedTokens(
      run,
      { embedding: word, sequence: word, stack: 'encoder' },
      batch,
    );
    const [everywhere, nearby] = [config.rope, config.localRope].map((kind) =>
      ropeTablesFor(run, config, kind, positions, offsets),
    ) as [RopeTables, RopeTables];
    const states = [
      run.dropout(
        word,
        run.norm(within(prefix, 'embeddings.norm'), x, config.epsilon),
        config.embeddingDropout,
      ),
    ];
    for (let layer = 0; layer < config.layers; layer += 1) {
      const place = {
        offsets,
        positions,
        window: config.windows[layer]!,
        tables: config.windows[layer]! > 0 ? nearby : everywhere,
      };
      states.push(
        run.layer(layer, [states.at(-1)!], (input) =>
          runBlock(run, within(prefix, `layers.${layer}`), config, layer, input, place),
        ),
      );
    }
    const hidden = run.norm(within(prefix, 'final_norm'), states.pop()!, config.epsilon);
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? [...states, hidden] : undefined,
    };
    if (isBare(head)) return output;
    const pool = config.classifierPooling === 'mean' ? meanPool : firstRows;
    const pooled = head.kind === 'token-classification' ? hidden : pool(hidden, offsets);
    const features = run.norm(
      'head.norm',
      run.linear('head.dense', pooled, config.classifierActivation),
      config.epsilon,
    );
    return {
      ...output,
      logits: run.linear(
        'classifier',
        run.dropout('classifier', features, config.classifierDropout),
      ),
    };
  },
});

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'model');

function parse(config: ConfigReader): ModernbertConfig {
  const { json } = config;
  const hiddenSize = config.size('hidden_size', 768);
  const heads = config.size('num_attention_heads', 12);
  const headSize = headSizeOf(config, hiddenSize, heads, 'num_attention_heads');
  const layers = config.size('num_hidden_layers', 22);
  const maxPositions = config.size('max_position_embeddings', 8192);
  const every = config.size('global_attn_every_n_layers', 3);
  const { full_attention: full, sliding_attention: sliding } = (json['rope_parameters'] ??
    {}) as Readonly<Record<string, unknown>>;
  const theta = config.positive('global_rope_theta', 160_000);
  const scaling = json['rope_scaling'] ?? {};
  const rotary = (own: unknown, fallback: number) =>
    parseRope(
      config,
      { headSize, maxPositions, theta: fallback },
      own ?? { ...scaling, rope_theta: fallback },
    );
  return {
    vocabularySize: config.size('vocab_size', 50368),
    hiddenSize,
    layers,
    heads,
    headSize,
    feedForwardSize: config.size('intermediate_size', 1152),
    maxPositions,
    activation: config.activation('hidden_activation', 'gelu'),
    epsilon: config.positive('norm_eps', 1e-5),
    hasNormBias: config.flag('norm_bias', false),
    hasAttentionBias: config.flag('attention_bias', false),
    hasFeedForwardBias: config.flag('mlp_bias', false),
    windows: parseWindows(
      config,
      layers,
      config.size('local_attention', 128),
      (layer) => layer % every !== 0,
    ),
    rope: rotary(full, theta),
    localRope: rotary(
      sliding,
      json['local_rope_theta'] === null ? theta : config.positive('local_rope_theta', 10_000),
    ),
    embeddingDropout: config.rate('embedding_dropout', 0),
    attentionDropout: config.rate('attention_dropout', 0),
    feedForwardDropout: config.rate('mlp_dropout', 0),
    classifierDropout: config.rate('classifier_dropout', 0),
    hasClassifierBias: config.flag('classifier_bias', false),
    classifierActivation: config.activation('classifier_activation', 'gelu'),
    classifierPooling: config.oneOf('classifier_pooling', ['cls', 'mean'], 'cls'),
    initializerRange: config.positive('initializer_range', 0.02),
  };
}

interface Place {
  readonly offsets: Int32Array;
  readonly positions: Int32Array;
  readonly window: number;
  readonly tables: RopeTables;
}

function runBlock(
  run: ModelRun,
  block: string,
  config: ModernbertConfig,
  layer: number,
  x: Tensor2D,
  { offsets, positions, window, tables }: Place,
): Tensor2D {
  const { heads, epsilon } = config;
  const normed = layer === 0 ? x : run.norm(`${block}.attn_norm`, x, epsilon);
  const [q, k, v] = tf.split(run.linear(`${block}.attn.Wqkv`, normed), 3, 1) as [
    Tensor2D,
    Tensor2D,
    Tensor2D,
  ]; // each [N, D]
  const context = attend(
    run,
    `${block}.attn`,
    rope(q, tables, positions, heads),
    rope(k, tables, positions, heads),
    v,
    { offsets, heads, window, hidden: normed, dropoutRate: config.attentionDropout },
  );
  const output = run.dropout(
    `${block}.attn`,
    run.linear(`${block}.attn.Wo`, context),
    config.attentionDropout,
  );
  const attended = run.sublayer(`${block}.attn`, { input: normed, output, residual: x, offsets });
  const input = run.norm(`${block}.mlp_norm`, attended, epsilon);
  // each [N, F]; the first one is activated
  const [up, gate] = tf.split(run.linear(`${block}.mlp.Wi`, input), 2, 1) as [Tensor2D, Tensor2D];
  const inner = run.dropout(
    `${block}.mlp`,
    gatedActivation(config.activation, up, gate),
    config.feedForwardDropout,
  );
  return run.sublayer(`${block}.mlp`, {
    input,
    output: run.linear(`${block}.mlp.Wo`, inner),
    residual: attended,
    offsets,
  });
}
