/** What a child of the benchmark of ranks prints. */
export interface MeasuredSteps {
  /** Of each step but the first. */
  readonly seconds: readonly number[];
  /** By the median step. */
  readonly tokensPerSecond: number;
  /** By the processor time of all threads and ranks, loops that wait included. */
  readonly tokensPerProcessorSecond: number;
  /** Of the last step: runs of the same arguments agree. */
  readonly loss: number;
}
