/**
 * Rows of an embedding that train while the others stay: y[n] = Δ[k] where ids[n] is the k-th of
 * the rows, W[ids[n]] elsewhere.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { gatherRows, linear } from '@peft/ops';
import { tiedOutputs } from '../description/tied-outputs.js';
import type { AttachContext, SiteHandle } from './attach-context.js';
import type { EmbeddingAttachment, LinearAttachment } from './attachment.js';

/**
 * @param rows ids of the rows, each once.
 * @param name of the parameter Δ `[rows, D]` on disk; it starts as a copy of the base's rows.
 * @throws PEFT_CONFIG_INVALID when the table has no such row, or one is named twice.
 */
export function trainableRows(
  site: SiteHandle<'embedding'>,
  rows: readonly number[],
  context: AttachContext,
  name: string,
): EmbeddingAttachment {
  checkRows(site.path, site.rows, rows);
  const place = new Map(rows.map((row, k) => [row, k]));
  const trained = context.param(name, [rows.length, site.size], () => {
    const base = site.baseRows(Int32Array.from(rows));
    const values = Float32Array.from(base.dataSync()); // once, while attaching
    base.dispose();
    return values;
  });
  /** Row n of `x`, or the trained row that takes its place. */
  const replaced = (x: Tensor2D, ids: ArrayLike<number>): Tensor2D => {
    const from = Int32Array.from({ length: ids.length }, (_, n) =>
      place.has(ids[n]!) ? ids.length + place.get(ids[n]!)! : n,
    );
    return gatherRows(tf.concat([x, trained.value], 0), from);
  };
  return {
    forward: (ids, base) => replaced(base(ids), ids),
    /** Columns of the logits of a tied output layer, replaced by x·Δᵀ. */
    forwardOutput(x, base) {
      const columns = tf
        .oneHot(tf.tensor1d([...rows], 'int32'), site.rows)
        .cast('float32') as Tensor2D; // [rows, V], 1 where Δ takes the place
      const kept = tf.sub(1, tf.sum(columns, 0)); // [V]
      return tf.add(tf.mul(base(x), kept), tf.matMul(linear(x, trained.value), columns));
    },
    merge: (table) =>
      replaced(
        table,
        Array.from({ length: site.rows }, (_, row) => row),
      ),
  };
}

/**
 * Rows of an output layer's own weight: y[n, row] = x[n]·Δ[k] where `row` is the k-th of the rows.
 * Nothing on a layer that is tied to an embedding, whose rows it reads.
 * @throws PEFT_CONFIG_INVALID as {@link trainableRows}
 */
export function trainableOutputRows(
  site: SiteHandle<'linear'>,
  rows: readonly number[],
  context: AttachContext,
  name: string,
): LinearAttachment | undefined {
  if (tiedOutputs(context.description).some(({ output }) => output.path === site.path))
    return undefined;
  checkRows(site.path, site.outFeatures, rows);
  const trained = context.param(name, [rows.length, site.inFeatures], () => {
    const weight = site.dequantizedWeight();
    // once, while attaching
    const values = tf.tidy(() => Float32Array.from(tf.gather(weight, [...rows]).dataSync()));
    weight.dispose();
    return values;
  });
  const columns = (): Tensor2D =>
    // [rows, out]
    tf.oneHot(tf.tensor1d([...rows], 'int32'), site.outFeatures).cast('float32') as Tensor2D;
  return {
    forward(x, base) {
      const bias = site.biasInForce();
      const places = columns();
      const own = tf.matMul(linear(x, trained.value), places);
      const there = tf.sum<Tensor1D>(places, 0); // [out]
      const y = tf.add<Tensor2D>(tf.mul(base(x), tf.sub(1, there)), own);
      return bias ? tf.add(y, tf.mul(bias, there)) : y;
    },
    merge({ weight, bias }) {
      const places = columns();
      const kept = tf.mul(weight, tf.reshape(tf.sub(1, tf.sum(places, 0)), [-1, 1]));
      return {
        weight: tf.add(kept, tf.matMul(places, trained.value, true)),
        bias,
      };
    },
  };
}

function checkRows(path: string, count: number, rows: readonly number[]): void {
  const bad = rows.find(
    (row, k) => !Number.isInteger(row) || row < 0 || row >= count || rows.indexOf(row) !== k,
  );
  if (bad === undefined && rows.length > 0) return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `${path}: trainable rows must be different integers in [0, ${count}), got ${bad ?? 'none'}.`,
  );
}
