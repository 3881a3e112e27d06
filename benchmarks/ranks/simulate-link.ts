/**
 * Steps of ranks over a link, simulated with measured times of computing: each rank computes its
 * micro-batches, whose times vary as the measured ones did, then sends a segment of the gradients to
 * each other, one after the other over its own link, and gathers the sums in a ring. No message is
 * faster than the link; none is lost, and the machines do nothing else.
 */
import { randomKey, randomUniform } from '@peft/ops';

export interface SimulatedRanks {
  readonly ranks: number;
  readonly microBatchesOfRank: number;
  readonly microBatchSeconds: number;
  readonly trainableParameters: number;
  readonly bytesPerSecond: number;
  readonly latencySeconds: number;
  /** Measured times of a micro-batch over their median; one is drawn for each simulated one. */
  readonly shares: readonly number[];
}

const STEPS = 200;

/** @returns throughput over N times that of one rank that computes as long */
export function simulateLink(simulated: SimulatedRanks): number {
  const { ranks, microBatchesOfRank, microBatchSeconds, shares } = simulated;
  const { trainableParameters, bytesPerSecond, latencySeconds } = simulated;
  const key = randomKey(1, 'simulated link');
  const segmentSeconds = (4 * trainableParameters) / ranks / bytesPerSecond;
  let drawn = 0;
  const microBatch = (): number =>
    microBatchSeconds * shares[Math.floor(randomUniform(key, drawn++) * shares.length)]!;
  let [computed, elapsed] = [0, 0];
  for (let step = 0; step < STEPS; step += 1) {
    const busy = Array.from({ length: ranks }, () =>
      Array.from({ length: microBatchesOfRank }, microBatch).reduce((sum, each) => sum + each, 0),
    );
    // all report before anything is sent
    const reported = Math.max(...busy) + 2 * Math.ceil(Math.log2(ranks)) * latencySeconds;
    const scattered = reported + (ranks - 1) * segmentSeconds + latencySeconds;
    const gathered = scattered + (ranks - 1) * (segmentSeconds + latencySeconds);
    computed += busy.reduce((sum, each) => sum + each, 0);
    elapsed += gathered;
  }
  return computed / (ranks * elapsed);
}
