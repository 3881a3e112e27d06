/**
 * LoRA whose start is taken off again beside the base weight:
 *
 *   y = base(x) + s·B·A·drop(x) − s·B₀·A₀·x
 *
 * The base keeps its weight, whatever its format, and the adapter is ordinary LoRA of twice the
 * rank: A' = [A; A₀] `[2r, in]`, B' = [B, −B₀] `[out, 2r]`, which is what its file holds.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { LinearAttachment, OwnedParameter } from '@peft/core';
import { add, linear } from '@peft/ops';
import type { LoraConfig } from '../lora-config.js';
import { loraInitializer } from './lora-init.js';
import { lowRank, type LoraMatrices } from './lora-linear.js';

/** @returns the adapter of a linear site. */
export function subtractedLora(
  matrices: LoraMatrices & Required<Pick<LoraMatrices, 'start'>>,
  dropout: number,
): LinearAttachment {
  const { start, bias } = matrices;
  const adapter: LinearAttachment = {
    forward(x, base, call) {
      const added = add(base(x), lowRank(call.dropout(x, dropout), matrices));
      const narrow = tf.mul<Tensor2D>(linear(x, start.a.value), -matrices.scaling);
      return add(added, linear(narrow, start.b.value));
    },
    merge(base) {
      const change = tf.sub<Tensor2D>(
        tf.matMul(matrices.b.value, matrices.a.value),
        tf.matMul(start.b.value, start.a.value),
      );
      const own = bias && tf.mul<tf.Tensor1D>(bias.value, matrices.scaling);
      return {
        weight: tf.add(base.weight, tf.mul(change, matrices.scaling)),
        bias: own && base.bias ? tf.add<tf.Tensor1D>(base.bias, own) : (own ?? base.bias),
      };
    },
    rescale: (factor) => void (matrices.scaling *= factor),
  };
  if (bias) return adapter;
  return {
    ...adapter,
    added: ({ training }) =>
      training && dropout > 0
        ? undefined
        : {
            a: tf.concat<Tensor2D>([matrices.a.value, start.a.value], 0),
            b: tf.concat<Tensor2D>([matrices.b.value, tf.neg(start.b.value)], 1),
            scale: matrices.scaling,
          },
  };
}

/** Twice the rank at the same strength s: α grows as the rank does, or as its root in rank-stabilised LoRA. */
export function doubledConfig(config: LoraConfig): LoraConfig {
  const growth = config.rankStabilized ? Math.SQRT2 : 2;
  const times = (
    pattern: Readonly<Record<string, number>>,
    factor: number,
  ): Record<string, number> =>
    Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, value * factor]));
  return Object.freeze({
    ...config,
    rank: config.rank * 2,
    alpha: config.alpha * growth,
    init: 'default',
    dataStart: undefined,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, growth),
  });
}

/** Whether the file holds something else than the parameters. */
export const isSubtracted = ({ init }: Pick<LoraConfig, 'init'>): boolean =>
  loraInitializer(init).isSubtracted === true;

/** What the file holds in place of LoRA's parameters: A' and B', the rest as it is. */
export function doubledTensors(
  parameters: ReadonlyMap<string, OwnedParameter>,
): Map<string, Tensor> {
  const made = new Map<string, Tensor>();
  for (const { name, method, origin, saved, savedAs, value } of parameters.values()) {
    if (method !== 'lora' || origin !== 'new' || !saved) continue;
    const start = parameters.get(name.replace(/weight$/, 'start'));
    made.set(
      savedAs ?? name,
      tf.tidy(() => {
        if (!start) return tf.clone(value);
        return name.endsWith('lora_A.weight')
          ? tf.concat([value, start.value], 0)
          : tf.concat([value, tf.neg(start.value)], 1);
      }),
    );
  }
  return made;
}
