/**
 * Rows by number, sums by number, rotary positions and losses, without reading values back from the
 * device as their references do.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { IGNORED_LABEL } from '@peft/ops';
import { register } from './register.js';

export function registerRows(): void {
  register('PeftGatherRows', ({ x }, { rows }) => tf.gather(x!, tf.tensor1d(rows, 'int32')));
  register('PeftScatterAddRows', ({ x }, { rows, size }) =>
    tf.unsortedSegmentSum(x!, tf.tensor1d(rows, 'int32'), size),
  );
  register('PeftRope', ({ x, cos, sin }, { positions, heads, inverse, interleaved }) => {
    const [rows, width] = x!.shape as [number, number];
    const half = cos!.shape[1]!;
    const rest = width / heads - 2 * half;
    const at = tf.tensor1d(positions, 'int32');
    const [c, s] = [cos!, sin!].map((table) => tf.expandDims(tf.gather(table, at), 1)) as [
      Tensor,
      Tensor,
    ]; // [N, 1, R/2]
    const parts = (
      interleaved
        ? tf.split(tf.reshape(x!, [rows, heads, -1]), rest > 0 ? [2 * half, rest] : [2 * half], 2)
        : tf.split(
            tf.reshape(x!, [rows, heads, -1]),
            rest > 0 ? [half, half, rest] : [half, half],
            2,
          )
    ) as Tensor[];
    const [a, b] = (
      interleaved ? tf.unstack(tf.reshape(parts[0]!, [rows, heads, half, 2]), 3) : parts
    ) as [Tensor, Tensor];
    const passed = parts.slice(interleaved ? 1 : 2);
    const [ac, bs, bc, as] = [tf.mul(a, c), tf.mul(b, s), tf.mul(b, c), tf.mul(a, s)];
    const turned = inverse ? [tf.add(ac, bs), tf.sub(bc, as)] : [tf.sub(ac, bs), tf.add(bc, as)];
    const joined = interleaved
      ? [tf.reshape(tf.stack(turned, 3), [rows, heads, 2 * half]), ...passed]
      : [...turned, ...passed];
    return tf.reshape(tf.concat(joined, 2), [rows, width]);
  });
  register('PeftCrossEntropy', ({ logits }, { labels }) => {
    const largest = tf.max(logits!, 1, true);
    const logSumExp = tf.add(
      tf.log(tf.sum(tf.exp(tf.sub(logits!, largest)), 1)),
      tf.squeeze(largest, [1]),
    );
    const { index, labelled } = labelPlaces(labels, logits!.shape[1]!);
    return [
      tf.mul(tf.sub(logSumExp, tf.gather(tf.reshape(logits!, [-1]), index)), labelled),
      logSumExp,
    ];
  });
  register('PeftCrossEntropyGradient', ({ logits, logSumExp, dloss }, { labels }) => {
    const [rows, classes] = logits!.shape as [number, number];
    const { index, labelled } = labelPlaces(labels, classes);
    const wanted = tf.mul(dloss!, labelled) as Tensor1D;
    const probabilities = tf.mul(
      tf.exp(tf.sub(logits!, tf.expandDims(logSumExp!, 1))),
      tf.expandDims(wanted, 1),
    ) as Tensor2D;
    const targets = tf.unsortedSegmentSum(wanted, index, rows * classes); // one element a row
    return tf.sub(probabilities, tf.reshape(targets, [rows, classes]));
  });
}

/**
 * Where each row's label is in the flat logits (0 for a row without one), and 1 or 0 for whether it
 * has one.
 */
function labelPlaces(labels: Int32Array, classes: number): { index: Tensor1D; labelled: Tensor1D } {
  const index = Int32Array.from(
    labels,
    (label, n) => n * classes + (label === IGNORED_LABEL ? 0 : label),
  );
  return {
    index: tf.tensor1d(index, 'int32'),
    labelled: tf.tensor1d(Float32Array.from(labels, (label) => (label === IGNORED_LABEL ? 0 : 1))),
  };
}
