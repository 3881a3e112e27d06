/** The seam between a loss of single answers and the task that trains on it. */
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';

/** What a loss sees of B answers. */
export interface UnpairedScores {
  /** ln π/π_ref of each answer, summed over its tokens `[B]`. */
  readonly ratios: Tensor1D;
  /** 1 where an answer is desirable, else −1 `[B]`. */
  readonly signs: Tensor1D;
  /** The KL that rewards are measured from, at least 0; 0 where the loss takes none. */
  readonly kl: number;
  readonly beta: number;
}

/** A loss of single answers. */
export interface UnpairedLoss {
  readonly name: string;
  /** Rewards are measured from the KL of answers to other prompts. */
  readonly hasBaseline: boolean;
  /** The loss of each answer `[B]`, on the tape. */
  losses(scores: UnpairedScores): Tensor;
}
