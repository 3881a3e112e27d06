/**
 * Self-attention of the decoders: causal, with rotary positions, grouped key heads, and per family
 * norms of queries and keys, a window, a cap of the scores. One projection each for queries, keys
 * and values, or one for all.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { longestSequence, rope, ropeTables, type RopeTables } from '@peft/ops';
import type { ModelRun } from '@peft/core';
import { attend } from './attend.js';
import type { DecoderConfig, RopeConfig } from '../decoders/decoder-config.js';
import type { DescriptionBuilder } from '../description/describe.js';

/** Sites of `…self_attn`. Phi-3 lists its output projection first. */
export function describeRotaryAttention(
  model: DescriptionBuilder,
  path: string,
  config: DecoderConfig,
  layer: number,
): void {
  const { hiddenSize: D, heads, keyValueHeads, headSize, bias } = config;
  const [inner, keyValues] = [heads * headSize, keyValueHeads * headSize];
  model.attention(path, {
    role: 'attention',
    layer,
    heads,
    keyValueHeads,
    headSize,
    stack: 'decoder',
    index: layer,
  });
  const output = () =>
    model.linear(`${path}.o_proj`, {
      role: 'attention.output',
      shape: [D, inner],
      bias: bias.output,
      layer,
    });
  if (config.isFused) {
    output();
    model.linear(`${path}.qkv_proj`, {
      role: 'attention.query_key_value',
      shape: [inner + 2 * keyValues, D],
      bias: bias.queryKeyValue,
      layer,
    });
    return;
  }
  model.linear(`${path}.q_proj`, {
    role: 'attention.query',
    shape: [inner, D],
    bias: bias.queryKeyValue,
    layer,
  });
  model.linear(`${path}.k_proj`, {
    role: 'attention.key',
    shape: [keyValues, D],
    bias: bias.queryKeyValue,
    layer,
  });
  model.linear(`${path}.v_proj`, {
    role: 'attention.value',
    shape: [keyValues, D],
    bias: bias.queryKeyValue,
    layer,
  });
  output();
  if (!config.normsQueryKey) return;
  model.rmsNorm(`${path}.q_norm`, { role: 'norm.query', size: headSize, layer });
  model.rmsNorm(`${path}.k_norm`, { role: 'norm.key', size: headSize, layer });
}

export interface RotaryAttentionOptions {
  readonly offsets: Int32Array;
  readonly positions: Int32Array;
  readonly tables: RopeTables;
  readonly window: number;
  /** Default 1/√E. */
  readonly scale?: number;
  readonly softCap?: number;
  /** Added to γ of the norms of queries and keys (Gemma: 1). */
  readonly gammaOffset?: number;
}

/** @param x what the attention reads, normed `[N, D]`. @returns `[N, D]` */
export function rotaryAttention(
  run: ModelRun,
  path: string,
  config: DecoderConfig,
  x: Tensor2D,
  { offsets, positions, tables, window, scale, softCap, gammaOffset = 0 }: RotaryAttentionOptions,
): Tensor2D {
  const { heads, keyValueHeads } = config;
  const [q, k, v] = project(run, path, config, x);
  const normed = (name: string, rows: Tensor2D): Tensor2D =>
    config.normsQueryKey ? run.norm(`${path}.${name}`, rows, config.epsilon, gammaOffset) : rows;
  const context = attend(
    run,
    path,
    rope(normed('q_norm', q), tables, positions, heads),
    rope(normed('k_norm', k), tables, positions, keyValueHeads),
    v,
    {
      offsets,
      heads,
      keyValueHeads,
      causal: true,
      window,
      hidden: x,
      dropoutRate: config.attentionDropout,
      scale,
      softCap,
    },
  );
  return run.linear(`${path}.o_proj`, context);
}

function project(
  run: ModelRun,
  path: string,
  { isFused, heads, keyValueHeads, headSize }: DecoderConfig,
  x: Tensor2D,
): [Tensor2D, Tensor2D, Tensor2D] {
  if (!isFused)
    return [
      run.linear(`${path}.q_proj`, x),
      run.linear(`${path}.k_proj`, x),
      run.linear(`${path}.v_proj`, x),
    ];
  return tf.split(
    run.linear(`${path}.qkv_proj`, x),
    [heads * headSize, keyValueHeads * headSize, keyValueHeads * headSize],
    1,
  ) as [Tensor2D, Tensor2D, Tensor2D];
}

/** Rotary tables for a batch, kept by the model for the next one. */
export function ropeTablesFor(
  run: ModelRun,
  config: Pick<DecoderConfig, 'headSize' | 'maxPositions'>,
  { theta, scaling, partial }: RopeConfig,
  positions: Int32Array,
  offsets: Int32Array,
): RopeTables {
  const length = tableLength(
    positions.reduce((most, position) => Math.max(most, position + 1), longestSequence(offsets)),
    scaling,
    config.maxPositions,
  );
  if (followsLength(scaling))
    run.past
      .cacheOf('decoder')
      ?.pin(
        `rotary angles ${theta} ${partial}, for a length of`,
        anglesOf(length, scaling, config.maxPositions),
      );
  const [cos, sin] = run.constants(
    `rope ${theta} ${partial} ${length} ${JSON.stringify(scaling ?? null)}`,
    () => {
      const tables = ropeTables({
        headSize: config.headSize,
        length,
        theta,
        partialRotaryFactor: partial,
        scaling,
        maxPositions: config.maxPositions,
      });
      return [tables.cos, tables.sin];
    },
  );
  return { cos: cos as Tensor2D, sin: sin as Tensor2D };
}

/**
 * A power of two of positions. Where the scaling asks whether the batch is longer than the original
 * length, the table stays on the batch's side of it; beyond, dynamic scaling depends on the very
 * length.
 */
function tableLength(needed: number, scaling: RopeConfig['scaling'], maxPositions: number): number {
  const rounded = 2 ** Math.ceil(Math.log2(Math.max(needed, 64)));
  if (!followsLength(scaling)) return rounded;
  const original = originalLength(scaling, maxPositions);
  if (needed <= original) return Math.min(rounded, original);
  return kindOf(scaling) === 'dynamic' ? needed : rounded;
}

const kindOf = (scaling: RopeConfig['scaling']): unknown =>
  scaling?.['rope_type'] ?? scaling?.['type'];
/** Whether the angle of a position depends on how long the batch is. */
const followsLength = (scaling: RopeConfig['scaling']): boolean =>
  kindOf(scaling) === 'dynamic' || kindOf(scaling) === 'longrope';
const originalLength = (scaling: RopeConfig['scaling'], maxPositions: number): number =>
  Number(scaling?.['original_max_position_embeddings'] ?? maxPositions);

/** Lengths with the same angles. */
function anglesOf(length: number, scaling: RopeConfig['scaling'], maxPositions: number): string {
  const original = originalLength(scaling, maxPositions);
  if (length <= original) return `up to ${original}`;
  return kindOf(scaling) === 'dynamic' ? String(length) : `over ${original}`;
}
