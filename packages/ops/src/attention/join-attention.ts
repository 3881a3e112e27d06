/**
 * Keys beside a softmax attention whose own part another kernel computes. With y and L = logΣexp of
 * the own scores, and s_p = scale·q·K_p for P extra keys per head,
 *
 *   L' = log(e^L + Σ_p e^{s_p}),  y' = e^{L − L'}·y + Σ_p e^{s_p − L'}·V_p
 *
 * The gradient of the own part is what its kernel makes of y' and L' in place of y and L; the extra
 * part's is, with p'_p = e^{s_p − L'} and δ = dy·y' per head: ds_p = p'_p·(dy·V_p − δ), dK_p =
 * scale·Σ ds_p·q, dV_p = Σ p'_p·dy, and dq gains scale·Σ_p ds_p·K_p.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { headSums } from './attention-reference.js';
import { batchedProduct } from '../products/product.js';

/** Keys and values of other origin than the sequence. */
export interface BesideKeys {
  /** `[P, H·E]`, or `[B·P, H·E]`, P rows for each sequence in turn. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Sequences whose rows of keys differ; undefined: all see the same. */
  readonly offsets?: Int32Array | undefined;
}

interface JoinOptions {
  readonly heads: number;
  readonly scale: number;
}

/**
 * @param q `[N, H·E]`.
 * @param y `[N, H·E]`.
 * @param logSumExp `[N, H]`.
 * @returns [y', L'] of the same shapes.
 */
export function joinAttention(
  q: Tensor,
  y: Tensor,
  logSumExp: Tensor,
  beside: BesideKeys,
  { heads, scale }: JoinOptions,
): [Tensor, Tensor] {
  const parts = chunksOf(q.shape[0], beside).map((chunk) => {
    const [queries, own, keys, values] = [
      rows(q, chunk.start, chunk.end),
      rows(y, chunk.start, chunk.end),
      rows(beside.keys, ...chunk.extra),
      rows(beside.values, ...chunk.extra),
    ].map((x) => split(x, heads)) as [Tensor3D, Tensor3D, Tensor3D, Tensor3D];
    const scores = tf.mul(batchedProduct(queries, keys, false, true), scale); // [H, T, P]
    // [H, T, 1]
    const before = tf.expandDims(tf.transpose(rows(logSumExp, chunk.start, chunk.end)), 2);
    const after = logSum(before, scores);
    const joined = tf.add(
      tf.mul(own, tf.exp(tf.sub(before, after))),
      batchedProduct(tf.exp(tf.sub(scores, after)) as Tensor3D, values),
    );
    return [join(joined as Tensor3D), tf.transpose(tf.squeeze(after, [2]))];
  });
  return [
    tf.concat(
      parts.map(([joined]) => joined!),
      0,
    ),
    tf.concat(
      parts.map(([, after]) => after!),
      0,
    ),
  ];
}

/**
 * @param y y'. @param logSumExp L'. @returns what dq gains, and the gradients of keys and values.
 */
export function joinAttentionGradient(
  q: Tensor,
  y: Tensor,
  logSumExp: Tensor,
  dy: Tensor,
  beside: BesideKeys,
  { heads, scale }: JoinOptions,
): { dq: Tensor; dKeys: Tensor; dValues: Tensor } {
  const delta = headSums(tf.mul(dy, y), heads); // [N, H]
  const parts = chunksOf(q.shape[0], beside).map((chunk) => {
    const [queries, dOutput, keys, values] = [
      rows(q, chunk.start, chunk.end),
      rows(dy, chunk.start, chunk.end),
      rows(beside.keys, ...chunk.extra),
      rows(beside.values, ...chunk.extra),
    ].map((x) => split(x, heads)) as [Tensor3D, Tensor3D, Tensor3D, Tensor3D];
    // [H, T, 1]
    const perQuery = (x: Tensor) => tf.expandDims(tf.transpose(rows(x, chunk.start, chunk.end)), 2);
    const probabilities = tf.exp(
      tf.sub(tf.mul(batchedProduct(queries, keys, false, true), scale), perQuery(logSumExp)),
    ) as Tensor3D; // [H, T, P]
    const dScores = tf.mul(
      tf.mul(probabilities, tf.sub(batchedProduct(dOutput, values, false, true), perQuery(delta))),
      scale,
    ) as Tensor3D;
    return {
      dq: join(batchedProduct(dScores, keys)),
      dKeys: join(batchedProduct(dScores, queries, true, false)),
      dValues: join(batchedProduct(probabilities, dOutput, true, false)),
    };
  });
  const all = (name: 'dq' | 'dKeys' | 'dValues') =>
    tf.concat(
      parts.map((part) => part[name]),
      0,
    );
  return { dq: all('dq'), dKeys: all('dKeys'), dValues: all('dValues') };
}

/** Rows that see the same keys. */
function chunksOf(
  count: number,
  { keys, offsets }: BesideKeys,
): { start: number; end: number; extra: [number, number] }[] {
  if (!offsets) return [{ start: 0, end: count, extra: [0, keys.shape[0]] }];
  const length = keys.shape[0] / (offsets.length - 1);
  return Array.from(offsets.slice(0, -1), (start, b) => ({
    start,
    end: offsets[b + 1]!,
    extra: [b * length, (b + 1) * length],
  }));
}

const rows = (x: Tensor, start: number, end: number): Tensor2D =>
  tf.slice(x, [start, 0], [end - start, -1]) as Tensor2D;

/** `[T, H·E]` → `[H, T, E]` */
const split = (x: Tensor2D, heads: number): Tensor3D =>
  tf.transpose(tf.reshape(x, [x.shape[0], heads, -1]), [1, 0, 2]) as Tensor3D;

/** `[H, T, E]` → `[T, H·E]` */
const join = (x: Tensor3D): Tensor2D => tf.reshape(tf.transpose(x, [1, 0, 2]), [x.shape[1], -1]);

/** log(e^a + Σ e^b) over the last axis: a `[H, T, 1]`, b `[H, T, P]`. */
function logSum(a: Tensor, b: Tensor): Tensor {
  const largest = tf.maximum(a, tf.max(b, 2, true));
  return tf.add(
    largest,
    tf.log(tf.add(tf.exp(tf.sub(a, largest)), tf.sum(tf.exp(tf.sub(b, largest)), 2, true))),
  );
}
