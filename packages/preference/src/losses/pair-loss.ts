/** The seam between a loss that compares two answers and the task that trains on it. */
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';

/** What a loss sees of P pairs. */
export interface PairScores {
  /**
   * Of the chosen answer: ln π/π_ref where there is a reference, else ln π; summed over its tokens, or
   * their mean where the loss `isAveraged`.
   */
  readonly chosen: Tensor1D;
  readonly rejected: Tensor1D;
  /** Tokens of each answer. */
  readonly chosenLengths: Tensor1D;
  readonly rejectedLengths: Tensor1D;
}

/** Numbers that losses read. */
export interface PairLossOptions {
  /** β, above 0. */
  readonly beta: number;
  /** ε, the share of labels that may be wrong, in [0, 1). */
  readonly labelSmoothing: number;
  /** γ, what the chosen answer is to be ahead by. */
  readonly margin: number;
}

/** A loss of pairs of answers. */
export interface PairLoss {
  readonly name: string;
  /** Log-probabilities are taken relative to those of a reference model. */
  readonly hasReference: boolean;
  /** Log-probabilities are means over an answer's tokens. Default: sums. */
  readonly isAveraged?: boolean;
  /** What it reads beside β. */
  readonly reads?: readonly ('labelSmoothing' | 'margin')[];
  /**
   * What the mean −ln π of the chosen sequences' tokens adds by default: those of the answer, or of
   * the whole sequence. Without it the weight is 0, and a given one counts the answer's tokens.
   */
  readonly likelihood?: { readonly tokens: 'answer' | 'whole'; readonly weight: number };
  /** @throws PEFT_CONFIG_INVALID for options that it cannot compute with */
  check?(owner: string, options: PairLossOptions): void;
  /** The loss of each pair `[P]`, on the tape. */
  losses(scores: PairScores, options: PairLossOptions): Tensor;
}
