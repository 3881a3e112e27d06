/**
 * Multi-head latent attention (DeepSeek-V2, section 2.1): queries may, keys and values always come
 * from a narrow state; the columns that turn stand apart, one set of keys for all heads.
 *
 *   c = N(W_a·x), [k | v] = W_b·c, k_h = [k_h ; rope(W_r·x)], q_h = [q_h ; rope(q'_h)]
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { rope } from '@peft/ops';
import type { ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';
import { attend } from '../parts/attend.js';
import type { DecoderAttentionOptions } from './decoder-attention.js';
import type { DecoderConfig } from './decoder-config.js';
import type { LatentAttentionConfig } from './latent-attention-config.js';

/** Norms of the narrow states have torch's own ε in transformers. */
const EPSILON = 1e-6;

/** Columns that attention works on: those of a key, or of a value where it is wider. */
const workSize = ({ turning, still, valueSize }: LatentAttentionConfig): number =>
  Math.max(turning + still, valueSize);

export function describeLatentAttention(
  model: DescriptionBuilder,
  path: string,
  { hiddenSize: D, heads }: DecoderConfig,
  latent: LatentAttentionConfig,
  layer: number,
): void {
  const { queryRank, keyValueRank, turning, still, valueSize, hasBias } = latent;
  const project = (name: string, role: string, shape: readonly [number, number], bias = false) =>
    model.linear(`${path}.${name}`, { role, shape, bias, layer });
  model.attention(path, {
    role: 'attention',
    layer,
    heads,
    keyValueHeads: heads,
    headSize: workSize(latent),
    stack: 'decoder',
    index: layer,
    besideOnly: true,
  });
  const queries = heads * (turning + still);
  if (queryRank === 0) project('q_proj', 'attention.query', [queries, D]);
  else {
    project('q_a_proj', 'attention.query-down', [queryRank, D], hasBias);
    model.rmsNorm(`${path}.q_a_layernorm`, { role: 'norm.query', size: queryRank, layer });
    project('q_b_proj', 'attention.query', [queries, queryRank]);
  }
  const state = keyValueRank + turning;
  project('kv_a_proj_with_mqa', 'attention.key_value-down', [state, D], hasBias);
  model.rmsNorm(`${path}.kv_a_layernorm`, { role: 'norm.key', size: keyValueRank, layer });
  project('kv_b_proj', 'attention.key_value', [heads * (still + valueSize), keyValueRank]);
  project('o_proj', 'attention.output', [D, heads * valueSize], hasBias);
}

/** @param x what the attention reads, normed `[N, D]`. @returns `[N, D]` */
export function latentAttention(
  run: ModelRun,
  path: string,
  config: DecoderConfig,
  latent: LatentAttentionConfig,
  x: Tensor2D,
  { offsets, positions, tables, interleaved }: DecoderAttentionOptions,
): Tensor2D {
  const { heads } = config;
  const { queryRank, keyValueRank, turning, still, valueSize } = latent;
  const size = workSize(latent);
  const rows = x.shape[0];
  const turned = (part: Tensor, count: number): Tensor3D => {
    const flat = tf.reshape(part, [rows, count * turning]) as Tensor2D;
    return tf.reshape(rope(flat, tables!, positions, count, { interleaved }), [
      rows,
      count,
      turning,
    ]);
  };
  /** Heads of `size` columns each, filled up with zeros. */
  const filled = (parts: readonly Tensor[], width: number): Tensor2D => {
    const rest = size > width ? [tf.zeros([rows, heads, size - width])] : [];
    return tf.reshape(tf.concat([...parts, ...rest], 2), [rows, heads * size]);
  };
  const queries =
    queryRank === 0
      ? run.linear(`${path}.q_proj`, x)
      : run.linear(
          `${path}.q_b_proj`,
          run.norm(`${path}.q_a_layernorm`, run.linear(`${path}.q_a_proj`, x), EPSILON),
        );
  const [qStill, qTurning] = tf.split(
    tf.reshape(queries, [rows, heads, still + turning]),
    [still, turning],
    2,
  ) as [Tensor, Tensor];
  const [state, kTurning] = tf.split(
    run.linear(`${path}.kv_a_proj_with_mqa`, x),
    [keyValueRank, turning],
    1,
  ) as [Tensor2D, Tensor2D];
  const expanded = run.linear(
    `${path}.kv_b_proj`,
    run.norm(`${path}.kv_a_layernorm`, state, EPSILON),
  );
  const [kStill, values] = tf.split(
    tf.reshape(expanded, [rows, heads, still + valueSize]),
    [still, valueSize],
    2,
  ) as [Tensor, Tensor];
  const width = still + turning;
  const context = attend(
    run,
    path,
    filled([qStill, turned(qTurning, heads)], width),
    filled([kStill, tf.tile(turned(kTurning, 1), [1, heads, 1])], width),
    filled([values], valueSize),
    {
      offsets,
      heads,
      causal: true,
      hidden: x,
      dropoutRate: config.attentionDropout,
      scale: config.attentionScale,
    },
  );
  const used = tf.slice(tf.reshape(context, [rows, heads, size]), [0, 0, 0], [-1, -1, valueSize]);
  return run.linear(`${path}.o_proj`, tf.reshape(used, [rows, heads * valueSize]));
}
