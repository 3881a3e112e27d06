/**
 * The decoder of Gemma 2 and 3 (Gemma Team 2024, 2025): blocks with a norm before and after each
 * branch, every γ stored less 1, embeddings multiplied by √D, caps of scores and logits, and a
 * window in most blocks, which may have rotary positions of their own.
 *
 *   a = x + N₂(attention(N₁(x))), y = a + N₄(feedForward(N₃(a))), N the RMS norms
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { Architecture, ModelOutput, ModelRun } from '@peft/core';
import type { DecoderConfig, RopeConfig } from './decoder-config.js';
import {
  decoderHead,
  DECODER_OUTPUT,
  decoderParts,
  describeDecoder,
  describeFeedForward,
  feedForward,
  prefixOf,
} from './decoder.js';
import { within } from '../description/describe.js';
import { embedTokens } from '../parts/embed-tokens.js';
import {
  describeRotaryAttention,
  rotaryAttention,
  ropeTablesFor,
  type RotaryAttentionOptions,
} from '../parts/rotary-attention.js';
import { settleOutputLayer } from '../parts/own-output-layer.js';

export interface GemmaConfig extends DecoderConfig {
  /** Scores are divided by its root (`query_pre_attn_scalar`). */
  readonly queryScalar: number;
  /** 0: none. */
  readonly scoreCap: number;
  readonly logitCap: number;
  /** Rotary positions of the blocks with a window. */
  readonly localRope: RopeConfig;
}

const GAMMA_OFFSET = 1;

export const gemmaParts: Pick<
  Architecture<GemmaConfig>,
  'heads' | 'settle' | 'describe' | 'forward'
> = {
  heads: decoderParts.heads,
  settle: (config, store, warn) => settleOutputLayer(config, store, DECODER_OUTPUT, warn),
  describe: (config, head) =>
    describeDecoder(config, head, (model, block, layer) => {
      const norm = (name: string, role: string) =>
        model.rmsNorm(`${block}.${name}`, { role, size: config.hiddenSize, layer });
      describeRotaryAttention(model, `${block}.self_attn`, config, layer);
      describeFeedForward(model, `${block}.mlp`, config, layer);
      norm('input_layernorm', 'norm.attention');
      norm('post_attention_layernorm', 'norm.attention-output');
      norm('pre_feedforward_layernorm', 'norm.ffn');
      norm('post_feedforward_layernorm', 'norm.ffn-output');
      model.sublayer(`${block}.self_attn`, {
        role: 'sublayer.attention',
        layer,
        size: config.hiddenSize,
        branch: 'attention',
        stack: 'decoder',
      });
      model.sublayer(`${block}.mlp`, {
        role: 'sublayer.ffn',
        layer,
        size: config.hiddenSize,
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
      Math.sqrt(config.hiddenSize),
    );
    const [everywhere, nearby] = [config.rope, config.localRope].map((rope) =>
      ropeTablesFor(run, config, rope, positions, offsets),
    ) as [RotaryAttentionOptions['tables'], RotaryAttentionOptions['tables']];
    const states = [x];
    for (let layer = 0; layer < config.layers; layer += 1) {
      const window = config.windows[layer]!;
      const options = {
        offsets,
        positions,
        window,
        tables: window > 0 ? nearby : everywhere,
        scale: 1 / Math.sqrt(config.queryScalar),
        softCap: config.scoreCap,
        gammaOffset: GAMMA_OFFSET,
      };
      states.push(
        run.layer(layer, [states.at(-1)!], (input) =>
          runBlock(run, within(prefix, `layers.${layer}`), config, input, options),
        ),
      );
    }
    const hidden = run.norm(within(prefix, 'norm'), states.pop()!, config.epsilon, GAMMA_OFFSET);
    const output: ModelOutput = {
      hidden,
      offsets,
      hiddenStates: run.wantsHiddenStates ? [...states, hidden] : undefined,
    };
    return {
      ...output,
      ...decoderHead(run, config, output, batch.inputsEmbeds ? undefined : batch.inputIds, {
        softCap: config.logitCap,
      }),
    };
  },
};

function runBlock(
  run: ModelRun,
  block: string,
  config: GemmaConfig,
  x: Tensor2D,
  options: RotaryAttentionOptions,
): Tensor2D {
  const norm = (name: string, rows: Tensor2D): Tensor2D =>
    run.norm(`${block}.${name}`, rows, config.epsilon, GAMMA_OFFSET);
  const branch = (
    module: string,
    before: string,
    after: string,
    input: Tensor2D,
    make: (normed: Tensor2D) => Tensor2D,
  ): Tensor2D => {
    const normed = norm(before, input);
    return run.sublayer(`${block}.${module}`, {
      input: normed,
      output: norm(after, make(normed)),
      residual: input,
      offsets: options.offsets,
    });
  };
  const attended = branch('self_attn', 'input_layernorm', 'post_attention_layernorm', x, (normed) =>
    rotaryAttention(run, `${block}.self_attn`, config, normed, options),
  );
  return branch(
    'mlp',
    'pre_feedforward_layernorm',
    'post_feedforward_layernorm',
    attended,
    (normed) => feedForward(run, `${block}.mlp`, config, normed),
  );
}
