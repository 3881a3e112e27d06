/**
 * QA-LoRA: the low-rank path reads sums over groups of g inputs, so that its update is one number a
 * group and row, as the zero points of a base are that is quantised by groups. Xu et al. 2023,
 * "QA-LoRA: Quantization-Aware Low-Rank Adaptation of Large Language Models", algorithm 1:
 *
 *   y = base(x) + s·B·A·p(x),  p_j(x) = L/g·Σ_{i in group j} x_i, L = in/g      A `[r, L]`, B `[out, r]`
 *
 * L is PEFT's factor. Merged is s·L/g·B·A with each column g times, which is exact for a base that is
 * not quantised; PEFT has this for GPTQ's layers alone, and merges none.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { AttachContext, LinearAttachment, SiteHandle } from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear } from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import { loraInitializer } from './lora-init.js';

/** Starts that do not look at the weight, which has other columns than A. */
const STARTS = ['default', 'gaussian', 'random'];

/**
 * @param groupSize g
 * @throws PEFT_CONFIG_INVALID where g does not divide the layer's inputs, or for a start by the weight
 */
export function pooledLora(
  site: SiteHandle<'linear'>,
  config: LoraConfig,
  groupSize: number,
  context: AttachContext,
): LinearAttachment {
  const { inFeatures, outFeatures, path } = site;
  if (inFeatures % groupSize !== 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: poolSize ${groupSize} does not divide the ${inFeatures} inputs of ${path}.`,
      { hint: 'choose a divisor, or leave the layer out of the targets' },
    );
  const initializer = loraInitializer(config.init);
  if (!STARTS.includes(initializer.name))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `lora: poolSize goes with init ${STARTS.join(', ')}, got '${initializer.name}'.`,
      { hint: 'leave init out' },
    );
  const groups = inFeatures / groupSize;
  const { rank, scaling } = strengthAt(path, config);
  let strength = scaling * (groups / groupSize);
  const start = initializer.start({ site, rank, scaling, context });
  const a = context.param('lora_A.weight', [rank, groups], start.a);
  const b = context.param('lora_B.weight', [outFeatures, rank], start.b);
  return {
    forward(x, base, call) {
      const grouped = tf.reshape(call.dropout(x, config.dropout), [-1, groups, groupSize]);
      const narrow = linear(tf.sum(grouped, 2) as Tensor2D, a.value); // [N, r]
      return tf.add(base(x), linear(tf.mul<Tensor2D>(narrow, strength), b.value));
    },
    merge({ weight, bias }) {
      const update = tf.reshape(tf.matMul(b.value, a.value), [outFeatures, groups, 1]);
      const spread = tf.reshape(tf.tile(update, [1, 1, groupSize]), [outFeatures, inFeatures]);
      return { weight: tf.add<Tensor2D>(weight, tf.mul(spread, strength)), bias };
    },
    rescale: (factor) => void (strength *= factor),
  };
}
