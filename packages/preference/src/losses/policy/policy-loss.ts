/** The seam between the ways in which a policy loss weighs tokens and the task that trains on it. */

/** How the tokens of sampled completions count. */
export interface PolicyLoss {
  readonly name: string;
  /** What the tokens of a completion count each. */
  tokenWeight(length: number): number;
  /** What the sum over completions of these lengths is divided by. */
  count(lengths: readonly number[], maxNewTokens: number): number;
}
