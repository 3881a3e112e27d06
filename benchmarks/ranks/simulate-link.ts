/**
 * Steps of ranks over a link, simulated with measured times of computing: each rank computes its
 * micro-batches, whose times vary as the measured ones did, and the step ends when the slowest has
 * done so and what is left of the exchange of gradients then has gone, as `rankCosts` computes it. No
 * message is faster than the link; none is lost, and the machines do nothing else.
 */
import { randomKey, randomUniform } from '@peft/ops';
import { rankCosts } from '@peft/trainer';

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
  const key = randomKey(1, 'simulated link');
  const { waitSeconds } = rankCosts({ ...simulated, microBatches: ranks * microBatchesOfRank });
  let drawn = 0;
  const microBatch = (): number =>
    microBatchSeconds * shares[Math.floor(randomUniform(key, drawn++) * shares.length)]!;
  let [computed, elapsed] = [0, 0];
  for (let step = 0; step < STEPS; step += 1) {
    const busy = Array.from({ length: ranks }, () =>
      Array.from({ length: microBatchesOfRank }, microBatch).reduce((sum, each) => sum + each, 0),
    );
    computed += busy.reduce((sum, each) => sum + each, 0);
    elapsed += Math.max(...busy) + waitSeconds;
  }
  return computed / (ranks * elapsed);
}
