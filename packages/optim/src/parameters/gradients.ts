/** Gradients before an update: their global norm, clipping, and a check for NaN and infinity. */
import * as tf from '@tensorflow/tfjs';
import { check } from '@peft/errors';
import { hasDeviceMemory, readInScope, readValues } from '@peft/ops';
import type { Gradients } from './parameter.js';

/**
 * √Σ g² over all gradients, in float64 and in the order of sorted names, so that it does not depend
 * on how they were gathered. NaN or Infinity when a gradient is. Of tensors on a device the squares of
 * each are summed there, in float32, and one number for each is read.
 */
export async function globalNorm(gradients: Gradients): Promise<number> {
  const sorted = Object.keys(gradients)
    .sort()
    .map((name) => gradients[name]!);
  const onDevice = sorted.filter((gradient) => gradient instanceof tf.Tensor && hasDeviceMemory());
  const squares =
    onDevice.length > 0 ? await readInScope(() => readValues(squaresOf(onDevice))) : undefined;
  let sum = 0;
  let at = 0;
  for (const gradient of sorted) {
    if (squares && gradient instanceof tf.Tensor) {
      sum += squares[at++]!;
      continue;
    }
    const values = await gradientValues(gradient);
    let own = 0;
    for (let i = 0; i < values.length; i += 1) own += values[i]! * values[i]!;
    sum += own;
  }
  return Math.sqrt(sum);
}

/**
 * Σ g² of each gradient, by the operations of the tfjs backend.
 * @returns `[gradients]`, owned by the enclosing scope.
 */
export const squaresOf = (gradients: readonly Gradients[string][]): tf.Tensor1D =>
  tf.tidy(() =>
    tf.stack(
      gradients.map((gradient) =>
        tf.sum(tf.square(gradient instanceof tf.Tensor ? gradient : tf.tensor1d(gradient))),
      ),
    ),
  ) as tf.Tensor1D;

/** What `clipByGlobalNorm` found out about a step's gradients. */
export interface Clipping {
  /** Global norm before clipping. */
  readonly norm: number;
  /**
   * `min(1, maximumNorm / (norm + 1e-6))`, to be passed to `update` as `gradientScale`. NaN when
   * the norm is not finite.
   */
  readonly gradientScale: number;
  /**
   * Whether every gradient is finite. When not, skip the step; `nonFiniteGradients` names the
   * culprits.
   */
  readonly isFinite: boolean;
}

/**
 * Clipping by global norm with PyTorch's `clip_grad_norm_` formula. Changes no gradient: pass
 * `gradientScale` to `update`.
 */
export async function clipByGlobalNorm(
  gradients: Gradients,
  maximumNorm: number,
): Promise<Clipping> {
  check.positive('optim', 'maximumNorm', maximumNorm);
  return clipToNorm(await globalNorm(gradients), maximumNorm);
}

/** The clipping of gradients whose global norm is known. */
export function clipToNorm(norm: number, maximumNorm: number): Clipping {
  check.positive('optim', 'maximumNorm', maximumNorm);
  const isFinite = Number.isFinite(norm);
  return {
    norm,
    gradientScale: isFinite ? Math.min(1, maximumNorm / (norm + 1e-6)) : Number.NaN,
    isFinite,
  };
}

/** Names of the gradients that hold a NaN or an infinity, sorted. */
export async function nonFiniteGradients(gradients: Gradients): Promise<string[]> {
  const found: string[] = [];
  for (const name of Object.keys(gradients).sort()) {
    const values = await gradientValues(gradients[name]!);
    if (!values.every((value) => Number.isFinite(value))) found.push(name);
  }
  return found;
}

/** Of a tensor on a CPU backend nothing has to be waited for. */
const gradientValues = async (gradient: Gradients[string]): Promise<Float32Array> =>
  gradient instanceof Float32Array ? gradient : gradient.data<'float32'>();
