/** How fast ranks talk to each other. */
import type { Collective, RankNumbers } from '@peft/core';

/** From rank 0 to another and back. */
export interface LinkSpeed {
  readonly rank: number;
  /** Half a round trip of one number. */
  readonly latencySeconds: number;
  /** Of a large message, one way. */
  readonly bytesPerSecond: number;
}

const ROUNDS = 200;
const LARGE_ROUNDS = 5;
const LARGE_BYTES = 16e6;

/**
 * Measures the links between rank 0 and each other rank, one at a time. All ranks call it.
 * @returns on rank 0, a speed for each other rank; on the others nothing.
 */
export async function measureLinks(ranks: Collective): Promise<LinkSpeed[]> {
  const speeds: LinkSpeed[] = [];
  for (let other = 1; other < ranks.size; other += 1) {
    await ranks.barrier();
    if (ranks.rank !== 0 && ranks.rank !== other) continue;
    const peer = ranks.rank === 0 ? other : 0;
    const small = await roundTrip(ranks, peer, new Float64Array(1), ROUNDS);
    const large = await roundTrip(ranks, peer, new Uint8Array(LARGE_BYTES), LARGE_ROUNDS);
    const latencySeconds = small / 2;
    if (ranks.rank === 0)
      speeds.push({
        rank: other,
        latencySeconds,
        bytesPerSecond: LARGE_BYTES / Math.max(large / 2 - latencySeconds, 1e-9),
      });
  }
  await ranks.barrier();
  return speeds;
}

/** @returns seconds of a round trip: the median. */
async function roundTrip(
  ranks: Collective,
  peer: number,
  values: RankNumbers,
  rounds: number,
): Promise<number> {
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const startedAtMs = performance.now();
    if (ranks.rank === 0) {
      await ranks.send(values, peer);
      await ranks.receive(values, peer);
    } else {
      await ranks.receive(values, peer);
      await ranks.send(values, peer);
    }
    seconds.push((performance.now() - startedAtMs) / 1000);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(rounds / 2)]!;
}
