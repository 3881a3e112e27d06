/**
 * The decoder that Llama (Touvron et al. 2023) set the form of, which Mistral, Qwen and Phi-3
 * share: pre-norm blocks with RMS norms, rotary attention and a gated feed-forward network,
 *
 *   a = x + attention(RMSNorm(x)), y = a + W_down·( f(W_gate·n) ⊙ W_up·n ), n = RMSNorm(a)
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatedActivation, gatherRows } from '@peft/ops';
import type {
  Architecture,
  HeadOptions,
  ModelDescription,
  ModelOutput,
  ModelRun,
} from '@peft/core';
import { isBare, lastTokenRows } from '../parts/classification-head.js';
import type { DecoderConfig } from './decoder-config.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { embedTokens } from '../parts/embed-tokens.js';
import { languageModelOutput } from '../parts/lm-head.js';
import { settleOutputLayer } from '../parts/own-output-layer.js';
import {
  describeRotaryAttention,
  rotaryAttention,
  ropeTablesFor,
} from '../parts/rotary-attention.js';

/** Where checkpoints keep the output layer and the table, also those of texts and images. */
export const DECODER_OUTPUT = {
  output: ['lm_head.weight', 'language_model.lm_head.weight'],
  table: [
    'model.embed_tokens.weight',
    'embed_tokens.weight',
    'language_model.model.embed_tokens.weight',
    'model.language_model.embed_tokens.weight',
  ],
};

/** What the families of this form share beside their config. */
export const decoderParts: Pick<
  Architecture<DecoderConfig>,
  'heads' | 'settle' | 'describe' | 'forward'
> = {
  heads: ['causal-lm', 'sequence-classification', 'token-classification'],
  settle: (config, store, warn) => settleOutputLayer(config, store, DECODER_OUTPUT, warn),
  describe: (config, head) =>
    describeDecoder(config, head, (model, block, layer) => {
      const { hiddenSize: D } = config;
      describeRotaryAttention(model, `${block}.self_attn`, config, layer);
      describeFeedForward(model, `${block}.mlp`, config, layer);
      model.rmsNorm(`${block}.input_layernorm`, { role: 'norm.attention', size: D, layer });
      model.rmsNorm(`${block}.post_attention_layernorm`, { role: 'norm.ffn', size: D, layer });
      model.sublayer(`${block}.self_attn`, {
        role: 'sublayer.attention',
        layer,
        size: D,
        branch: 'attention',
        stack: 'decoder',
      });
      model.sublayer(`${block}.mlp`, {
        role: 'sublayer.ffn',
        layer,
        size: D,
        branch: 'ffn',
        stack: 'decoder',
      });
    }),

  forward(run, config, batch) {
    const prefix = prefixOf(run.description.head);
    const word = within(prefix, 'embed_tokens');
    const { x, offsets, positions } = embedTokens(
      run,
      { embedding: word, sequence: word, stack: 'decoder' },
      batch,
    );
    const tables = ropeTablesFor(run, config, config.rope, positions, offsets);
    const states = [x];
    for (let layer = 0; layer < config.layers; layer += 1) {
      states.push(
        run.layer(layer, [states.at(-1)!], (input) =>
          runBlock(run, within(prefix, `layers.${layer}`), config, input, {
            offsets,
            positions,
            tables,
            window: config.windows[layer]!,
          }),
        ),
      );
    }
    const hidden = run.norm(within(prefix, 'norm'), states.pop()!, config.epsilon);
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? [...states, hidden] : undefined,
    };
    return {
      ...output,
      ...decoderHead(run, config, output, batch.inputsEmbeds ? undefined : batch.inputIds),
    };
  },
};

export const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'model');

/** Embedding, blocks, final norm and head. @param describeBlock sites of one block. */
export function describeDecoder(
  config: DecoderConfig,
  head: HeadOptions,
  describeBlock: (model: DescriptionBuilder, block: string, layer: number) => void,
): ModelDescription {
  const { hiddenSize: D, vocabularySize: V, initializerRange: fresh } = config;
  const model = new DescriptionBuilder();
  const prefix = prefixOf(head);
  const word = within(prefix, 'embed_tokens');
  model.sequence(word, { role: 'sequence', size: D, stack: 'decoder', embedding: word });
  model.embedding(word, { role: 'embedding.word', rows: V, size: D });
  for (let layer = 0; layer < config.layers; layer += 1)
    describeBlock(model, within(prefix, `layers.${layer}`), layer);
  model.rmsNorm(within(prefix, 'norm'), { role: 'norm.final', size: D });
  if (head.kind === 'causal-lm')
    model.linear('lm_head', {
      role: 'head',
      shape: [V, D],
      bias: false,
      isOutputHead: true,
      tiedTo: config.isTied ? `${word}.weight` : undefined,
      fresh,
    });
  else if ('outputs' in head && !isBare(head))
    model.linear('score', {
      role: 'head',
      shape: [head.outputs, D],
      bias: head.kind === 'token-classification',
      isOutputHead: true,
      fresh,
    });
  return model.build({
    modelType: config.modelType,
    head,
    hiddenSize: D,
    vocabularySize: V,
    layers: { encoder: 0, decoder: config.layers },
    maxPositions: config.maxPositions,
    headModules: isBare(head) || head.kind === 'causal-lm' ? [] : ['score'],
    basePrefix: 'model',
  });
}

export function describeFeedForward(
  model: DescriptionBuilder,
  path: string,
  { hiddenSize: D, feedForwardSize: F, bias, isFused }: DecoderConfig,
  layer: number,
): void {
  if (isFused)
    model.linear(`${path}.gate_up_proj`, {
      role: 'ffn.gate_up',
      shape: [2 * F, D],
      bias: bias.feedForward,
      layer,
    });
  else {
    model.linear(`${path}.gate_proj`, {
      role: 'ffn.gate',
      shape: [F, D],
      bias: bias.feedForward,
      layer,
    });
    model.linear(`${path}.up_proj`, {
      role: 'ffn.up',
      shape: [F, D],
      bias: bias.feedForward,
      layer,
    });
  }
  model.linear(`${path}.down_proj`, {
    role: 'ffn.down',
    shape: [D, F],
    bias: bias.feedForward,
    layer,
  });
}

function runBlock(
  run: ModelRun,
  block: string,
  config: DecoderConfig,
  x: Tensor2D,
  options: Parameters<typeof rotaryAttention>[4],
): Tensor2D {
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
      offsets: options.offsets,
    });
  };
  const attended = branch('self_attn', 'input_layernorm', x, (normed) =>
    rotaryAttention(run, `${block}.self_attn`, config, normed, options),
  );
  return branch('mlp', 'post_attention_layernorm', attended, (normed) =>
    feedForward(run, `${block}.mlp`, config, normed),
  );
}

/** W_down·( f(W_gate·x) ⊙ W_up·x ) */
export function feedForward(
  run: ModelRun,
  path: string,
  config: DecoderConfig,
  x: Tensor2D,
): Tensor2D {
  const [gate, up] = config.isFused
    ? (tf.split(run.linear(`${path}.gate_up_proj`, x), 2, 1) as [Tensor2D, Tensor2D])
    : [run.linear(`${path}.gate_proj`, x), run.linear(`${path}.up_proj`, x)];
  return run.linear(`${path}.down_proj`, gatedActivation(config.activation, gate, up));
}

/**
 * Logits of the head: of the vocabulary, of each token's class, or of each sequence's at its last
 * token.
 */
export function decoderHead(
  run: ModelRun,
  config: DecoderConfig,
  { hidden, offsets }: ModelOutput,
  inputIds: Int32Array | undefined,
  cap: { readonly softCap?: number } = {},
): Pick<ModelOutput, 'logits' | 'outputLayer'> {
  const { head } = run.description;
  if (head.kind === 'causal-lm') return languageModelOutput(run, 'lm_head', hidden, cap);
  if (head.kind === 'token-classification')
    return { logits: run.linear('score', run.dropout('score', hidden, config.classifierDropout)) };
  if (head.kind !== 'sequence-classification') return {};
  const hasAllIds = inputIds?.length === hidden.shape[0]; // virtual tokens have none
  return {
    logits: run.linear(
      'score',
      gatherRows(
        hidden,
        hasAllIds ? lastTokenRows(offsets, inputIds, config.paddingId) : lastTokenRows(offsets),
      ),
    ),
  };
}
