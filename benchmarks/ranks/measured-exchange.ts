/** What a child of the benchmark of the network prints. */
export interface MeasuredExchange {
  /** Of each step, from the end of the backward pass until the slowest rank has all sums. */
  readonly seconds: readonly number[];
  /** As `peft doctor --mpi` measures them: the medians over the links of rank 0. */
  readonly latencySeconds: number;
  readonly bytesPerSecond: number;
}
