/** Gradients before an update: their global norm, clipping, and a check for NaN and infinity. */
import { check } from '@peft/errors';
import type { Gradients } from './parameter.js';

/**
 * √Σ g² over all gradients, in float64 and in the order of sorted names, so that it does not depend
 * on how they were gathered. NaN or Infinity when a gradient is.
 */
export function globalNorm(gradients: Gradients): number {
  let sum = 0;
  for (const name of Object.keys(gradients).sort()) {
    const values = gradientValues(gradients[name]!);
    let own = 0;
    for (let i = 0; i < values.length; i += 1) own += values[i]! * values[i]!;
    sum += own;
  }
  return Math.sqrt(sum);
}

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
 * Clipping by global norm with PyTorch's `clip_grad_norm_` formula. Makes no tensor: pass
 * `gradientScale` to `update`.
 */
export function clipByGlobalNorm(gradients: Gradients, maximumNorm: number): Clipping {
  check.positive('optim', 'maximumNorm', maximumNorm);
  const norm = globalNorm(gradients);
  const isFinite = Number.isFinite(norm);
  return {
    norm,
    gradientScale: isFinite ? Math.min(1, maximumNorm / (norm + 1e-6)) : Number.NaN,
    isFinite,
  };
}

/** Names of the gradients that hold a NaN or an infinity, sorted. */
export function nonFiniteGradients(gradients: Gradients): string[] {
  return Object.keys(gradients)
    .sort()
    .filter((name) => !gradientValues(gradients[name]!).every((value) => Number.isFinite(value)));
}

/**
 * The norm is needed before the update can start, so the wait is unavoidable; on CPU backends there
 * is none.
 */
function gradientValues(gradient: Gradients[string]): Float32Array {
  return gradient instanceof Float32Array ? gradient : gradient.dataSync<'float32'>();
}
