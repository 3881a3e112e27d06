/**
 * One stack of T5, encoder or decoder: blocks of self-attention, in the decoder cross attention to
 * the encoder, and a feed-forward network,
 *
 *   x ← x + dropout(branch(RMSNorm(x))), at the end dropout(RMSNorm(x))
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  freezeTensor,
  gatedActivation,
  isFrozenTensor,
  relativePositionBuckets,
  type AttentionOptions,
} from '@peft/ops';
import type { ModelBatch, ModelRun } from '@peft/core';
import { attend } from '../parts/attend.js';
import type { DescriptionBuilder } from '../description/describe.js';
import { embedTokens } from '../parts/embed-tokens.js';
import type { T5Config } from './t5-config.js';

type StackName = 'encoder' | 'decoder';
export type T5Tokens = Pick<ModelBatch, 'inputIds' | 'offsets' | 'inputsEmbeds'>;
interface StackPaths {
  readonly path: string;
  readonly stack: StackName;
}

/** @param shared path of the embedding whose table the stack reads. */
export function describeT5Stack(
  model: DescriptionBuilder,
  path: string,
  shared: string,
  config: T5Config,
  stack: StackName,
): void {
  const { hiddenSize: D, vocabularySize: V, feedForwardSize: F, heads, headSize, isGated } = config;
  const inner = heads * headSize;
  model.embedding(`${path}.embed_tokens`, {
    role: 'embedding.word',
    rows: V,
    size: D,
    tiedTo: shared,
  });
  model.sequence(`${path}.embed_tokens`, { role: 'sequence', size: D, stack, embedding: shared });
  const attention = (module: string, layer: number, kind: 'attention' | 'cross.attention') => {
    model.attention(module, {
      role: kind,
      layer,
      heads,
      keyValueHeads: heads,
      headSize,
      stack: kind === 'attention' ? stack : 'cross',
      index: layer,
    });
    for (const [name, part] of [
      ['q', 'query'],
      ['k', 'key'],
      ['v', 'value'],
    ] as const)
      model.linear(`${module}.${name}`, {
        role: `${kind}.${part}`,
        shape: [inner, D],
        bias: false,
        layer,
      });
    model.linear(`${module}.o`, { role: `${kind}.output`, shape: [D, inner], bias: false, layer });
  };
  const layers = stack === 'encoder' ? config.encoderLayers : config.decoderLayers;
  for (let layer = 0; layer < layers; layer += 1) {
    const block = `${path}.block.${layer}.layer`;
    attention(`${block}.0.SelfAttention`, layer, 'attention');
    if (layer === 0 || config.hasOwnBiases)
      model.embedding(`${block}.0.SelfAttention.relative_attention_bias`, {
        role: 'embedding.relative',
        rows: config.relativeBuckets,
        size: heads,
        layer,
      });
    model.rmsNorm(`${block}.0.layer_norm`, { role: 'norm.attention', size: D, layer });
    model.sublayer(`${block}.0`, {
      role: 'sublayer.attention',
      layer,
      size: D,
      branch: 'attention',
      stack,
    });
    if (stack === 'decoder') {
      attention(`${block}.1.EncDecAttention`, layer, 'cross.attention');
      model.rmsNorm(`${block}.1.layer_norm`, { role: 'norm.cross', size: D, layer });
      model.sublayer(`${block}.1`, {
        role: 'sublayer.cross-attention',
        layer,
        size: D,
        branch: 'cross-attention',
        stack,
      });
    }
    const last = `${block}.${stack === 'decoder' ? 2 : 1}`;
    if (isGated) {
      model.linear(`${last}.DenseReluDense.wi_0`, {
        role: 'ffn.gate',
        shape: [F, D],
        bias: false,
        layer,
      });
      model.linear(`${last}.DenseReluDense.wi_1`, {
        role: 'ffn.up',
        shape: [F, D],
        bias: false,
        layer,
      });
    } else
      model.linear(`${last}.DenseReluDense.wi`, {
        role: 'ffn.up',
        shape: [F, D],
        bias: false,
        layer,
      });
    model.linear(`${last}.DenseReluDense.wo`, {
      role: 'ffn.down',
      shape: [D, F],
      bias: false,
      layer,
    });
    model.rmsNorm(`${last}.layer_norm`, { role: 'norm.ffn', size: D, layer });
    model.sublayer(last, { role: 'sublayer.ffn', layer, size: D, branch: 'ffn', stack });
  }
  model.rmsNorm(`${path}.final_layer_norm`, { role: 'norm.final', size: D });
}

/** @returns each state, the last one normed, and the layout with virtual tokens. */
export function runT5Stack(
  run: ModelRun,
  paths: StackPaths,
  config: T5Config,
  tokens: T5Tokens,
  encoded?: ModelBatch['encoded'],
): { readonly states: Tensor2D[]; readonly offsets: Int32Array } {
  const { path, stack } = paths;
  const { x, offsets } = embedTokens(
    run,
    { embedding: `${path}.embed_tokens`, sequence: `${path}.embed_tokens`, stack },
    tokens,
  );
  const shared = config.hasOwnBiases ? undefined : relativeBias(run, paths, config, 0);
  const states = [run.dropout(`${path}.embed_tokens`, x, config.dropout)];
  const [layers, first] =
    stack === 'encoder' ? [config.encoderLayers, 0] : [config.decoderLayers, config.encoderLayers];
  for (let layer = 0; layer < layers; layer += 1) {
    const bias = shared ?? relativeBias(run, paths, config, layer);
    const inputs = [states.at(-1)!, bias.values, ...(encoded ? [encoded.hidden] : [])];
    states.push(
      run.layer(first + layer, inputs, (input, values, memory) =>
        runBlock(
          run,
          `${path}.block.${layer}.layer`,
          config,
          input,
          offsets,
          { ...bias, values: values },
          encoded && { hidden: memory, offsets: encoded.offsets },
        ),
      ),
    );
  }
  const last = run.norm(`${path}.final_layer_norm`, states.pop()!, config.epsilon);
  return {
    states: [...states, run.dropout(`${path}.final_layer_norm`, last, config.dropout)],
    offsets,
  };
}

/**
 * The bias of a block's scores: the table `[buckets, H]` of the block that owns it, turned to `[H,
 * buckets]`.
 */
function relativeBias(
  run: ModelRun,
  { path, stack }: StackPaths,
  config: T5Config,
  layer: number,
): NonNullable<AttentionOptions['bias']> {
  const table = run.sharedRows(() =>
    run.embed(
      `${path}.block.${layer}.layer.0.SelfAttention.relative_attention_bias`,
      Int32Array.from({ length: config.relativeBuckets }, (_, i) => i),
    ),
  );
  const turned = tf.transpose(table) as Tensor2D;
  return {
    values: isFrozenTensor(table) ? freezeTensor(turned) : turned,
    ...relativePositionBuckets({
      buckets: config.relativeBuckets,
      maxDistance: config.relativeDistance,
      bidirectional: stack === 'encoder',
    }),
  };
}

function runBlock(
  run: ModelRun,
  block: string,
  config: T5Config,
  x: Tensor2D,
  offsets: Int32Array,
  bias: NonNullable<AttentionOptions['bias']>,
  encoded?: NonNullable<ModelBatch['encoded']>,
): Tensor2D {
  const { heads, dropout } = config;
  /** x + dropout(make(RMSNorm(x))) */
  const branch = (
    module: string,
    input: Tensor2D,
    make: (normed: Tensor2D) => Tensor2D,
  ): Tensor2D => {
    const normed = run.norm(`${module}.layer_norm`, input, config.epsilon);
    return run.sublayer(module, {
      input: normed,
      output: run.dropout(module, make(normed), dropout),
      residual: input,
      offsets,
    });
  };
  const attention = (
    module: string,
    normed: Tensor2D,
    memory: Tensor2D,
    options: Pick<AttentionOptions, 'bias' | 'causal' | 'keyOffsets'>,
  ): Tensor2D => {
    const q = run.linear(`${module}.q`, normed);
    const project = (): readonly [Tensor2D, Tensor2D] => [
      run.linear(`${module}.k`, memory),
      run.linear(`${module}.v`, memory),
    ];
    const [k, v] = options.keyOffsets
      ? run.past.remember(module, options.keyOffsets, project)
      : project();
    return run.linear(
      `${module}.o`,
      attend(run, module, q, k, v, {
        offsets,
        heads,
        scale: 1,
        hidden: normed,
        dropoutRate: dropout,
        ...options,
      }),
    );
  };
  const attended = branch(`${block}.0`, x, (normed) =>
    attention(`${block}.0.SelfAttention`, normed, normed, { bias, causal: encoded !== undefined }),
  );
  if (!encoded)
    return branch(`${block}.1`, attended, (normed) =>
      feedForward(run, `${block}.1.DenseReluDense`, config, normed),
    );
  const crossed = branch(`${block}.1`, attended, (normed) =>
    attention(`${block}.1.EncDecAttention`, normed, encoded.hidden, {
      keyOffsets: encoded.offsets,
    }),
  );
  return branch(`${block}.2`, crossed, (normed) =>
    feedForward(run, `${block}.2.DenseReluDense`, config, normed),
  );
}

/** W_o·dropout(f(W_i·x)), or W_o·dropout(f(W_0·x) ⊙ W_1·x) */
function feedForward(
  run: ModelRun,
  path: string,
  { isGated, activation, dropout }: T5Config,
  x: Tensor2D,
): Tensor2D {
  const inner = isGated
    ? gatedActivation(activation, run.linear(`${path}.wi_0`, x), run.linear(`${path}.wi_1`, x))
    : run.linear(`${path}.wi`, x, activation); // [N, F]
  return run.linear(`${path}.wo`, run.dropout(path, inner, dropout));
}
