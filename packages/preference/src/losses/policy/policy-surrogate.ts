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
  readonly isClipped: Float32Array;
  /** ρ·(e^d − d − 1) of each token, with a reference. */
  readonly kl: Float32Array | undefined;
}

/** The smaller side is chosen outside the tape; a clipped token has no gradient. */
export function policySurrogate(
  { logProbabilities, old, reference, advantages, weights }: SurrogateInput,
  { clipLow, clipHigh, klWeight }: SurrogateOptions,
): Surrogate {
  const now = logProbabilities.dataSync<'float32'>().slice(); // ratios decide what is clipped
  const before = old ?? now;
  let clipped = 0;
  const isClipped = now.map((value, n) => {
    const ratio = Math.exp(value - before[n]!);
    const isOut = advantages[n]! > 0 ? ratio > 1 + clipHigh : ratio < 1 - clipLow;
    if (!isOut || advantages[n] === 0) return 0;
    clipped -= weights[n]! * advantages[n]! * (advantages[n]! > 0 ? 1 + clipHigh : 1 - clipLow);
    return 1;
  });
  const factors = weights.map((weight, n) => (isClipped[n] ? 0 : -weight * advantages[n]!));
  const ratios = tf.exp(tf.sub(logProbabilities, tf.tensor1d(before)));
  const surrogate = tf.add(tf.sum(tf.mul(ratios, tf.tensor1d(factors))), clipped) as Scalar;
  if (!reference) return { loss: surrogate, isClipped, kl: undefined };
  const d = tf.sub(tf.tensor1d(reference), logProbabilities);
  const kl = tf.mul(tf.sub(tf.sub(tf.exp(d), d), 1), ratios);
  const penalty = tf.mul(tf.sum(tf.mul(kl, tf.tensor1d(weights))), klWeight);
  return {
    loss: tf.add(surrogate, penalty) as Scalar,
    isClipped,
    kl: kl.dataSync<'float32'>().slice(), // a metric
  };
}
