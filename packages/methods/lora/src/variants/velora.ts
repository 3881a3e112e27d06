/**
 * VeLoRA (Miles et al. 2024, section 3): A's gradient comes from inputs that were kept as one number
 * for each of G groups of features. With p `[D/G]` of length 1 and x split into groups x_g,
 *
 *   forward: y = x·Aᵀ, kept c_g = x_g·p        backward: dx = dy·A, dA = dyᵀ·x̂, x̂_g = s·c_g·p
 *
 * so that a layer holds `[N, G]` numbers for its backward pass instead of its input `[N, D]`. The
 * result of the forward pass is LoRA's. As PEFT 0.21 has it: features that fill no group up are
 * completed by zeros, and p is the mean of the batch's groups, or random and fixed.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  normal,
  zeros,
  type AttachContext,
  type Initializer,
  type LinearAttachment,
  type SiteHandle,
  type VectorParameter,
} from '@peft/core';
import { add, differentiable, linear, product, sumRows } from '@peft/ops';
import { loraLinear, type LoraMatrices } from './lora-linear.js';
import type { VeloraOptions } from './variant-options.js';

/** @returns the adapter of a linear site, LoRA in all but the gradient of A */
export function veloraLinear(
  site: SiteHandle<'linear'>,
  matrices: LoraMatrices,
  dropout: number,
  velora: Required<VeloraOptions>,
  context: AttachContext,
): LinearAttachment {
  const { groups, scale, init } = velora;
  const width = Math.ceil(site.inFeatures / groups);
  const stored: VectorParameter = context.param(
    'lora_velora_embed',
    [width],
    init === 'random' ? ofLengthOne : zeros,
    { trainable: false },
  );
  const { a, b } = matrices;
  const plain = loraLinear(matrices, dropout);
  return {
    ...plain,
    added: (run) => (run.training ? undefined : plain.added?.(run)),
    forward(x, base, call) {
      if (!call.training) return plain.forward(x, base, call);
      const read = call.dropout(x, dropout);
      const narrow = compressedLinear(read, a.value, { groups, scale }, (grouped) =>
        init === 'random' ? tf.clone(stored.value) : meanOfLengthOne(grouped),
      );
      return add(base(x), linear(tf.mul<Tensor2D>(narrow, matrices.scaling), b.value));
    },
  };
}

/**
 * x·Aᵀ, whose gradient by A reads what is kept of x.
 * @param x `[N, in]`
 * @param a A `[r, in]`
 * @param project p `[d]` for x as `[N·G, d]`
 * @returns `[N, r]`
 */
export function compressedLinear(
  x: Tensor2D,
  a: Tensor2D,
  { groups, scale }: { readonly groups: number; readonly scale: number },
  project: (grouped: Tensor2D) => Tensor1D,
): Tensor2D {
  const [rows, features] = x.shape;
  const width = Math.ceil(features / groups);
  return differentiable<'x' | 'a', Tensor2D>(
    { x, a },
    (save, needs) => {
      if (needs.a) {
        const [kept, p] = tf.tidy(() => {
          const grouped = tf.reshape(
            tf.pad(x, [
              [0, 0],
              [0, groups * width - features],
            ]),
            [rows * groups, width],
          ) as Tensor2D;
          const direction = project(grouped);
          const numbers = product(grouped, tf.reshape(direction, [width, 1]));
          return [tf.reshape(numbers, [rows, groups]), direction] as const;
        });
        save([...(needs.x ? [a] : []), kept, p]);
      } else save([a]);
      return product(x, a, false, true);
    },
    ({ dy, saved, needs }) => {
      const dx = needs.x ? product(dy as Tensor2D, saved[0] as Tensor2D) : undefined;
      if (!needs.a) return { x: dx };
      const [kept, p] = saved.slice(-2) as [Tensor2D, Tensor1D];
      const byGroup = product(dy as Tensor2D, kept, true, false); // dyᵀ·c [r, G]
      const spread = tf.mul(tf.expandDims(byGroup, 2), tf.mul(p, scale)); // [r, G, d]
      const whole = tf.reshape(spread, [a.shape[0], groups * width]) as Tensor2D;
      return { x: dx, a: tf.slice(whole, [0, 0], [a.shape[0], features]) };
    },
  );
}

/** The mean of the groups, made one long; of a mean that is zero all alike. */
function meanOfLengthOne(grouped: Tensor2D): Tensor1D {
  const sum = sumRows(grouped) as Tensor1D;
  const length = tf.norm(sum) as Scalar;
  const [width] = sum.shape;
  return tf.where(
    tf.greater(tf.mul(tf.ones([width]), length), 0),
    tf.divNoNan(sum, length),
    tf.fill([width], 1 / Math.sqrt(width)),
  ) as Tensor1D;
}

const ofLengthOne: Initializer = (shape, key) => {
  const drawn = Float32Array.from(normal(1)(shape, key));
  const length = Math.hypot(...drawn);
  return drawn.map((value) => value / length);
};
