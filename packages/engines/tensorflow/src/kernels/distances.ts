/**
 * Scores of DeBERTa's position terms, which products give by distance: by this package's kernels
 * where TensorFlow has them, else in tfjs ops.
 *
 * Key terms `[G, H, tq, M]` with M = tq + T − 1: column m of query i is key m + i − (tq − 1). Query
 * terms `[G, H, T, M]`: column m of key j is query m + j − (T − 1).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { runOwnKernel } from './own-kernel.js';
import { skew, unskew } from './tiles.js';

/** scale·(products + key terms + query terms), `[G, H, tq, T]`. */
export function distanceScores(
  products: Tensor,
  keyTerms: Tensor | undefined,
  queryTerms: Tensor | undefined,
  scale: number,
): Tensor {
  const none = () => tf.zeros([0]);
  const found = runOwnKernel(
    'PeftDistanceScores',
    { products, keyTerms: keyTerms ?? none(), queryTerms: queryTerms ?? none() },
    { scale: { float: scale } },
  );
  if (found) return found[0]!;
  const [rows, columns] = products.shape.slice(2) as [number, number];
  let sum = products;
  if (keyTerms) sum = tf.add(sum, skewHeads(keyTerms, columns));
  if (queryTerms) sum = tf.add(sum, turned(skewHeads(queryTerms, rows)));
  return tf.mul(sum, scale);
}

/** The gradient of the key terms. */
export function keyTermGradient(dScores: Tensor): Tensor {
  return (
    runOwnKernel('PeftDistanceGradient', { dScores }, { of_queries: false })?.[0] ??
    unskewHeads(dScores)
  );
}

/** The gradient of the query terms. */
export function queryTermGradient(dScores: Tensor): Tensor {
  return (
    runOwnKernel('PeftDistanceGradient', { dScores }, { of_queries: true })?.[0] ??
    unskewHeads(turned(dScores))
  );
}

const turned = (x: Tensor): Tensor => tf.transpose(x, [0, 1, 3, 2]);

/** {@link skew} for each head: `[G, H, rows, M]` → `[G, H, rows, columns]`. */
function skewHeads(x: Tensor, columns: number): Tensor {
  const [groups, heads, rows, width] = x.shape as [number, number, number, number];
  return tf.reshape(skew(tf.reshape(x, [groups * heads, rows, width]), rows, columns), [
    groups,
    heads,
    rows,
    columns,
  ]);
}

function unskewHeads(d: Tensor): Tensor {
  const [groups, heads, rows, columns] = d.shape as [number, number, number, number];
  return tf.reshape(unskew(tf.reshape(d, [groups * heads, rows, columns])), [
    groups,
    heads,
    rows,
    rows + columns - 1,
  ]);
}
