/**
 * BD-LoRA: A or B is block-diagonal, so that ranks which share a layer need not exchange what is
 * between them. Wang et al. 2025, "Block-Diagonal LoRA for Eliminating Communication Overhead in
 * Tensor Parallel LoRA Serving":
 *
 *   y = base(x) + s·B·A·x,  A = diag(A_1 … A_n) stored as `[r, in/n]`, or B as `[out, r/n]`
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  kaimingUniform,
  zeros,
  type AttachContext,
  type Initializer,
  type LinearAttachment,
  type MatrixParameter,
  type SiteHandle,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { freezeTensor, linear } from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import type { BlockDiagonal } from './variant-options.js';

/** @returns the adapter of a linear site, with parameters of its own. */
export function blockDiagonalLora(
  site: SiteHandle<'linear'>,
  config: LoraConfig,
  { a: onA = [], b: onB = [], blocks, strict = true }: BlockDiagonal,
  context: AttachContext,
): LinearAttachment {
  const { path, inFeatures, outFeatures } = site;
  const [isA, isB] = [onA, onB].map((names) => names.some((name) => path.includes(name)));
  if (isA === isB && (isA || strict))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: ${path} is named by ${isA ? 'both' : 'neither'} of blockDiagonal's lists.`,
      { hint: isA ? 'name it in one' : 'name it, or set strict to false' },
    );
  const { rank, scaling } = strengthAt(path, config);
  let strength = scaling;
  const matrix = (
    name: string,
    [rows, columns]: readonly [number, number],
    isBlocked: boolean,
    init: Initializer,
  ): (() => Tensor2D) => {
    const count = isBlocked ? blocks : 1;
    if (rows % count !== 0 || columns % count !== 0)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `lora: ${count} blocks do not divide ${name} [${rows}, ${columns}] of ${path}.`,
      );
    const stored = context.param(name, [rows, columns / count], init);
    return () => (isBlocked ? onDiagonal(stored, count) : stored.value);
  };
  const a = matrix('lora_A.weight', [rank, inFeatures], isA!, kaimingUniform);
  const b = matrix('lora_B.weight', [outFeatures, rank], isB!, zeros);
  return {
    forward(x, base, call) {
      const narrow = linear(call.dropout(x, config.dropout), a());
      return tf.add(base(x), linear(tf.mul<Tensor2D>(narrow, strength), b()));
    },
    merge: ({ weight, bias }) => ({
      weight: tf.add(weight, tf.mul(tf.matMul(b(), a()), strength)),
      bias,
    }),
    rescale: (factor) => void (strength *= factor),
  };
}

/** `[rows, c]` → `[rows, n·c]`, zero outside of the blocks. */
function onDiagonal({ value, shape }: MatrixParameter, count: number): Tensor2D {
  const [rows, columns] = shape as [number, number];
  const mask = tf.tidy(() => {
    const block = tf.floor(tf.div(tf.range(0, rows), rows / count)); // [rows]
    const own = tf.oneHot(tf.cast(block, 'int32'), count); // [rows, n]
    return freezeTensor(tf.cast(tf.expandDims(own, 2), 'float32')); // [rows, n, 1]
  });
  return tf.reshape(tf.mul(tf.expandDims(value, 1), mask), [rows, count * columns]);
}
