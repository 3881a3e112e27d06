/**
 * GPT-2 (Radford et al. 2019): learned positions, pre-norm blocks with layer norms, one projection
 * for queries, keys and values. Its checkpoints store every linear weight as `[in, out]`.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows, type ActivationName } from '@peft/ops';
import { defineArchitecture, type HeadOptions, type ModelOutput, type ModelRun } from '@peft/core';
import { attend } from '../../parts/attend.js';
import { isBare, lastTokenRows } from '../../parts/classification-head.js';
import { headSizeOf, readConfig, type ConfigJson } from '../../description/config-reader.js';
import { DescriptionBuilder, within } from '../../description/describe.js';
import { embedTokens, sum } from '../../parts/embed-tokens.js';
import { languageModelOutput } from '../../parts/lm-head.js';
import { settleOutputLayer } from '../../parts/own-output-layer.js';

/** What the `config.json` of GPT-2 says, checked, in this package's words. */
export interface Gpt2Config {
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
  readonly positions: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly embeddingDropout: number;
  readonly attentionDropout: number;
  readonly residualDropout: number;
  readonly classifierDropout: number;
  /** Scores are divided by √E. */
  readonly scalesScores: boolean;
  /** Scores of block i are divided by i + 1. */
  readonly scalesByLayer: boolean;
  readonly isTied: boolean;
  readonly paddingId: number | undefined;
  readonly initializerRange: number;
}

const OUTPUT_LAYER = {
  output: ['lm_head.weight'],
  table: ['transformer.wte.weight', 'wte.weight'],
};

/**
 * GPT-2, `model_type` `gpt2` (Radford et al. 2019). The reference is transformers' implementation.
 */
export const gpt2 = defineArchitecture<Gpt2Config>({
  family: 'GPT-2',
  modelTypes: ['gpt2'],
  conventions: {
    gpt2: {
      queryValueTargets: ['c_attn'],
      adapterHub: { className: 'GPT2', causalClass: 'GPT2LMHeadModel' },
    },
  },
  heads: ['causal-lm', 'sequence-classification', 'token-classification'],

  parseConfig(json: ConfigJson) {
    const config = readConfig('GPT-2', json);
    config.only('add_cross_attention', false, 'only the decoder on its own is supported');
    const hiddenSize = config.size('n_embd', 768);
    const heads = config.size('n_head', 12);
    headSizeOf(config, hiddenSize, heads, 'n_head');
    return {
      vocabularySize: config.size('vocab_size', 50257),
      hiddenSize,
      layers: config.size('n_layer', 12),
      heads,
      feedForwardSize: config.size('n_inner', 4 * hiddenSize),
      positions: config.size('n_positions', 1024),
      activation: config.activation('activation_function', 'gelu_new'),
      epsilon: config.positive('layer_norm_epsilon', 1e-5),
      embeddingDropout: config.rate('embd_pdrop', 0.1),
      attentionDropout: config.rate('attn_pdrop', 0.1),
      residualDropout: config.rate('resid_pdrop', 0.1),
      classifierDropout: config.rate('classifier_dropout', config.rate('hidden_dropout', 0.1)),
      scalesScores: config.flag('scale_attn_weights', true),
      scalesByLayer: config.flag('scale_attn_by_inverse_layer_idx', false),
      isTied: config.flag('tie_word_embeddings', true),
      paddingId: config.tokenId('pad_token_id'),
      initializerRange: config.positive('initializer_range', 0.02),
    };
  },

  settle: (config, store, warn) => settleOutputLayer(config, store, OUTPUT_LAYER, warn),

  describe(config, head) {
    const {
      hiddenSize: D,
      feedForwardSize: F,
      vocabularySize: V,
      heads,
      initializerRange: fresh,
    } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const word = within(prefix, 'wte');
    model.sequence(word, { role: 'sequence', size: D, stack: 'decoder', embedding: word });
    model.embedding(word, { role: 'embedding.word', rows: V, size: D });
    model.embedding(within(prefix, 'wpe'), {
      role: 'embedding.position',
      rows: config.positions,
      size: D,
    });
    for (let layer = 0; layer < config.layers; layer += 1) {
      const block = within(prefix, `h.${layer}`);
      model.layerNorm(`${block}.ln_1`, { role: 'norm.attention', size: D, layer });
      model.attention(`${block}.attn`, {
        role: 'attention',
        layer,
        heads,
        keyValueHeads: heads,
        headSize: D / heads,
        stack: 'decoder',
        index: layer,
      });
      model.linear(`${block}.attn.c_attn`, {
        role: 'attention.query_key_value',
        shape: [3 * D, D],
        transposed: true,
        layer,
      });
      model.linear(`${block}.attn.c_proj`, {
        role: 'attention.output',
        shape: [D, D],
        transposed: true,
        layer,
      });
      model.sublayer(`${block}.attn`, {
        role: 'sublayer.attention',
        layer,
        size: D,
        branch: 'attention',
        stack: 'decoder',
      });
      model.layerNorm(`${block}.ln_2`, { role: 'norm.ffn', size: D, layer });
      model.linear(`${block}.mlp.c_fc`, { role: 'ffn.up', shape: [F, D], transposed: true, layer });
      model.linear(`${block}.mlp.c_proj`, {
        role: 'ffn.down',
        shape: [D, F],
        transposed: true,
        layer,
      });
      model.sublayer(`${block}.mlp`, {
        role: 'sublayer.ffn',
        layer,
        size: D,
        branch: 'ffn',
        stack: 'decoder',
      });
    }
    model.layerNorm(within(prefix, 'ln_f'), { role: 'norm.final', size: D });
    if (head.kind === 'causal-lm')
      model.linear('lm_head', {
        role: 'head',
        shape: [V, D],
        bias: false,
        isOutputHead: true,
        tiedTo: config.isTied ? `${word}.weight` : undefined,
        fresh,
      });
    if (head.kind === 'sequence-classification')
      model.linear('score', {
        role: 'head',
        shape: [head.outputs, D],
        bias: false,
        isOutputHead: true,
        fresh,
      });
    if (head.kind === 'token-classification')
      model.linear('classifier', {
        role: 'head',
        shape: [head.outputs, D],
        isOutputHead: true,
        fresh,
      });
    return model.build({
      modelType: 'gpt2',
      head,
      hiddenSize: D,
      vocabularySize: V,
      layers: { encoder: 0, decoder: config.layers },
      maxPositions: config.positions,
      headModules: HEAD_MODULES[head.kind] ?? [],
      basePrefix: 'transformer',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const word = within(prefix, 'wte');
    const { x, offsets, positions, extra } = embedTokens(
      run,
      { embedding: word, sequence: word, stack: 'decoder' },
      batch,
    );
    const terms = [x, run.embed(within(prefix, 'wpe'), positions)];
    if (batch.tokenTypeIds && extra === 0) terms.push(run.embed(word, batch.tokenTypeIds));
    const states = [run.dropout(word, sum(...terms), config.embeddingDropout)];
    for (let layer = 0; layer < config.layers; layer += 1) {
      states.push(
        run.layer(layer, [states.at(-1)!], (input) =>
          runBlock(run, within(prefix, `h.${layer}`), config, layer, input, offsets),
        ),
      );
    }
    const hidden = run.norm(within(prefix, 'ln_f'), states.pop()!, config.epsilon);
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? [...states, hidden] : undefined,
    };
    if (isBare(head)) return output;
    if (head.kind === 'causal-lm')
      return { ...output, ...languageModelOutput(run, 'lm_head', hidden) };
    if (head.kind === 'token-classification')
      return {
        ...output,
        logits: run.linear(
          'classifier',
          run.dropout('classifier', hidden, config.classifierDropout),
        ),
      };
    const hasAllIds = !batch.inputsEmbeds && extra === 0;
    return {
      ...output,
      logits: run.linear(
        'score',
        gatherRows(
          hidden,
          hasAllIds
            ? lastTokenRows(offsets, batch.inputIds, config.paddingId)
            : lastTokenRows(offsets),
        ),
      ),
    };
  },
});

const HEAD_MODULES: Partial<Record<HeadOptions['kind'], string[]>> = {
  'sequence-classification': ['score'],
  'token-classification': ['classifier'],
};

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'transformer');

/** a = x + attention(LN(x)), y = a + W_proj·f(W_fc·LN(a)) */
function runBlock(
  run: ModelRun,
  block: string,
  config: Gpt2Config,
  layer: number,
  x: Tensor2D,
  offsets: Int32Array,
): Tensor2D {
  const { heads, hiddenSize } = config;
  const branch = (
    module: string,
    norm: string,
    input: Tensor2D,
    make: (normed: Tensor2D) => Tensor2D,
  ): Tensor2D => {
    const normed = run.norm(`${block}.${norm}`, input, config.epsilon);
    return run.sublayer(`${block}.${module}`, {
      input: normed,
      output: run.dropout(`${block}.${module}`, make(normed), config.residualDropout),
      residual: input,
      offsets,
    });
  };
  const scale =
    (config.scalesScores ? 1 / Math.sqrt(hiddenSize / heads) : 1) /
    (config.scalesByLayer ? layer + 1 : 1);
  const attended = branch('attn', 'ln_1', x, (normed) => {
    const [q, k, v] = tf.split(run.linear(`${block}.attn.c_attn`, normed), 3, 1) as [
      Tensor2D,
      Tensor2D,
      Tensor2D,
    ]; // each [N, D]
    return run.linear(
      `${block}.attn.c_proj`,
      attend(run, `${block}.attn`, q, k, v, {
        offsets,
        heads,
        scale,
        causal: true,
        hidden: normed,
        dropoutRate: config.attentionDropout,
      }),
    );
  });
  return branch('mlp', 'ln_2', attended, (normed) =>
    run.linear(`${block}.mlp.c_proj`, run.linear(`${block}.mlp.c_fc`, normed, config.activation)),
  );
}
