/**
 * The clipped surrogate of sampled tokens with a penalty for leaving the reference,
 *
 *   ℓ_n = −min(ρ_n·A, clip(ρ_n, 1 − ε, 1 + ε')·A) + β·ρ_n·(e^{d_n} − d_n − 1)
 *
 * with ρ = π/π_old, d = ln π_ref − ln π and the advantage A of a token's completion (Schulman et al. 2017,
 * eq. 7; Shao et al. 2024, eq. 4 for the penalty, which ρ makes that of the reverse KL, as in DeepSeek-V3.2
 * and TRL).
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D } from '@tensorflow/tfjs';
import { differentiable } from '@peft/ops';

/** Of N places, those that do not count having weight 0. */
export interface SurrogateInput {
  /** ln π, on the tape. */
  readonly logProbabilities: Tensor1D;
  /** ln π_old; none where the policy is the one that sampled. */
  readonly old?: Float32Array | undefined;
  /** ln π_ref. */
  readonly reference?: Float32Array | undefined;
  readonly advantages: Float32Array;
  readonly weights: Float32Array;
}

/** What the surrogate is made with. */
export interface SurrogateOptions {
  /** ε. */
  readonly clipLow: number;
  /** ε'. */
  readonly clipHigh: number;
  /** β. */
  readonly klWeight: number;
}

/** The sum, and what it came across. */
export interface Surrogate {
  /** Σ_n w_n·ℓ_n, of the enclosing tidy scope. */
  readonly loss: Scalar;
  /** 1 where a token's ratio was clipped. */
  readonly isClipped: Tensor1D;
  /** ρ·(e^d − d − 1) of each token, with a reference. */
  readonly kl: Tensor1D | undefined;
}

/** The smaller side is chosen outside the tape; a clipped token has no gradient. */
export function policySurrogate(
  { logProbabilities, old, reference, advantages, weights }: SurrogateInput,
  { clipLow, clipHigh, klWeight }: SurrogateOptions,
): Surrogate {
  const before = old
    ? tf.tensor1d(old)
    : differentiable<never, Tensor1D>(
        {},
        () => tf.add(logProbabilities, 0),
        () => ({}),
      );
  const limits = advantages.map((advantage) => (advantage > 0 ? 1 + clipHigh : 1 - clipLow));
  // ratios decide what is clipped: constants of the loss
  const isClipped = differentiable<never, Tensor1D>(
    {},
    () =>
      tf.tidy(() => {
        // above the limit of a good token, below that of a bad one
        const beyond = tf.mul(
          tf.sub(tf.exp(tf.sub(logProbabilities, before)), tf.tensor1d(limits)),
          tf.tensor1d(advantages.map(Math.sign)),
        );
        return tf.cast(tf.greater(beyond, 0), 'float32');
      }),
    () => ({}),
  );
  const factors = weights.map((weight, n) => -weight * advantages[n]!);
  const ratios = tf.exp(tf.sub(logProbabilities, before));
  const costs = tf.add(
    tf.mul(tf.mul(ratios, tf.tensor1d(factors)), tf.sub(1, isClipped)),
    tf.mul(isClipped, tf.tensor1d(factors.map((factor, n) => factor * limits[n]!))),
  );
  const surrogate = tf.sum(costs) as Scalar;
  if (!reference) return { loss: surrogate, isClipped, kl: undefined };
  const d = tf.sub(tf.tensor1d(reference), logProbabilities);
  const kl = tf.mul(tf.sub(tf.sub(tf.exp(d), d), 1), ratios);
  const penalty = tf.mul(tf.sum(tf.mul(kl, tf.tensor1d(weights))), klWeight);
  return {
    loss: tf.add(surrogate, penalty) as Scalar,
    isClipped,
    kl: kl as Tensor1D, // a metric
  };
}
