/**
 * Self-attention of the decoders: causal, with rotary positions or a bias by distance, grouped key
 * heads, and per family norms of queries and keys, a window, a cap of the scores.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { clip, rope, type RopeTables } from '@peft/ops';
import type { ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';
import { attend, type AttendOptions } from '../parts/attend.js';
import type { DecoderConfig } from './decoder-config.js';
import type { QueryKeyNorms } from './decoder-form.js';

/** Sites of a block's attention. */
export function describeDecoderAttention(
  model: DescriptionBuilder,
  path: string,
  config: DecoderConfig,
  layer: number,
): void {
  const { hiddenSize: D, heads, keyValueHeads, headSize, bias, form } = config;
  const names = form.attention;
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
  if (config.hasSinks) model.tensor(`${path}.sinks`, [heads]);
  const rows = {
    query: inner,
    key: keyValues,
    value: keyValues,
    fused: inner + 2 * keyValues,
  };
  for (const part of names.order) {
    if (part === 'output')
      model.linear(`${path}.${names.output}`, {
        role: 'attention.output',
        shape: [D, inner],
        bias: bias.output,
        layer,
      });
    else
      model.linear(`${path}.${names[part]}`, {
        role: part === 'fused' ? 'attention.query_key_value' : `attention.${part}`,
        shape: [rows[part], D],
        bias: bias.queryKeyValue,
        layer,
      });
  }
  for (const which of ['query', 'key'] as const)
    describeNorm(model, path, names.norms, which, {
      heads: which === 'query' ? heads : keyValueHeads,
      headSize,
      layer,
    });
}

function describeNorm(
  model: DescriptionBuilder,
  path: string,
  norms: QueryKeyNorms | undefined,
  which: 'query' | 'key',
  { heads, headSize, layer }: { readonly heads: number; headSize: number; layer: number },
): void {
  if (!norms) return;
  const size = norms.over === 'all' ? heads * headSize : headSize;
  for (const module of normPaths(norms, which, heads))
    model.norm(`${path}.${module}`, { ...norms.norm, role: `norm.${which}`, size, layer });
}

const normPaths = (norms: QueryKeyNorms, which: 'query' | 'key', heads: number): string[] =>
  norms.over === 'own-head'
    ? Array.from({ length: heads }, (_, head) => `${norms[which]}.norms.${head}`)
    : [norms[which]];

export interface DecoderAttentionOptions {
  readonly offsets: Int32Array;
  readonly positions: Int32Array;
  /** Undefined where queries and keys do not turn. */
  readonly tables: RopeTables | undefined;
  readonly interleaved: boolean;
  readonly window: number;
  readonly bias: AttendOptions['bias'];
}

/** @param x what the attention reads, normed `[N, D]`. @returns `[N, D]` */
export function decoderAttention(
  run: ModelRun,
  path: string,
  config: DecoderConfig,
  x: Tensor2D,
  { offsets, positions, tables, interleaved, window, bias }: DecoderAttentionOptions,
): Tensor2D {
  const { heads, keyValueHeads } = config;
  const [q, k, v] = project(run, path, config, x);
  const placed = (rows: Tensor2D, which: 'query' | 'key', count: number): Tensor2D => {
    const normed = bounded(normHeads(run, path, config, rows, which, count), config);
    return tables ? rope(normed, tables, positions, count, { interleaved }) : normed;
  };
  const context = attend(
    run,
    path,
    placed(q, 'query', heads),
    placed(k, 'key', keyValueHeads),
    bounded(v, config),
    {
      offsets,
      heads,
      keyValueHeads,
      causal: true,
      window,
      bias,
      hidden: x,
      dropoutRate: config.attentionDropout,
      scale: config.attentionScale,
      softCap: config.scoreCap,
      sinks: config.hasSinks ? (run.vector(`${path}.sinks`) as Tensor1D) : undefined,
    },
  );
  return run.linear(`${path}.${config.form.attention.output}`, context);
}

type Projected = [query: Tensor2D, key: Tensor2D, value: Tensor2D];

/** As far as queries, keys and values may go. */
const bounded = (rows: Tensor2D, { queryKeyValueClip: bound }: DecoderConfig): Tensor2D =>
  bound > 0 ? clip(rows, bound) : rows;

function project(run: ModelRun, path: string, config: DecoderConfig, x: Tensor2D): Projected {
  const names = config.form.attention;
  return names.layout === 'separate'
    ? ([names.query, names.key, names.value].map((name) =>
        run.linear(`${path}.${name}`, x),
      ) as Projected)
    : splitFused(run.linear(`${path}.${names.fused}`, x), config);
}

/** Columns of a fused projection `[N, (H + 2·Hkv)·E]`. */
function splitFused(
  rows: Tensor2D,
  { heads, keyValueHeads, headSize, form }: DecoderConfig,
): Projected {
  const keyValues = keyValueHeads * headSize;
  if (form.attention.layout === 'blocks')
    return tf.split(rows, [heads * headSize, keyValues, keyValues], 1) as Projected;
  const each = heads / keyValueHeads;
  const groups = tf.reshape(rows, [-1, keyValueHeads, (each + 2) * headSize]);
  return (tf.split(groups, [each * headSize, headSize, headSize], 2) as Tensor[]).map((part) =>
    tf.reshape(part, [rows.shape[0], -1]),
  ) as Projected;
}

function normHeads(
  run: ModelRun,
  path: string,
  { form, epsilon }: DecoderConfig,
  rows: Tensor2D,
  which: 'query' | 'key',
  heads: number,
): Tensor2D {
  const { norms } = form.attention;
  if (!norms) return rows;
  const paths = normPaths(norms, which, heads).map((module) => `${path}.${module}`);
  const { gammaOffset } = norms.norm;
  if (norms.over !== 'own-head' || heads === 1)
    return run.norm(paths[0]!, rows, epsilon, gammaOffset);
  return tf.concat(
    tf
      .split(rows, heads, 1)
      .map((head, n) => run.norm(paths[n]!, head as Tensor2D, epsilon, gammaOffset)),
    1,
  );
}
