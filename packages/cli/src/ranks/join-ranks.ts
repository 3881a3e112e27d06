/** A command line that was started as one of several ranks. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import type { Collective, Module, StageRanks } from '@peft/core';
import { resolveModel } from '@peft/hub';
import { machineMemory, type MachineMemory } from '@peft/memory-plan';
import { connectMpi, launchOf, type MpiRanks } from '@peft/mpi';
import { MACHINE_MEMORY, MODEL_RESOLVER, PIPELINE, SHARDED_BASE } from '@peft/predictor';
import { COLLECTIVE } from '@peft/trainer';

/** What a rank's fit is made with. */
export interface JoinedRanks {
  readonly ranks: MpiRanks;
  /** For the predictor. */
  readonly module: Module;
  /** This rank's share of the machine's cores. */
  readonly threads: number;
}

/**
 * @param pipeline how models are cut. Default: not.
 * @param isShared whether the ranks share the blocks of their base
 * @returns undefined for a command that is alone.
 * @throws PEFT_MPI_MISSING and what MPI throws
 */
export async function joinRanks(
  pipeline?: Pick<StageRanks, 'stages' | 'bits'>,
  isShared = false,
): Promise<JoinedRanks | undefined> {
  if ((launchOf(process.env)?.size ?? 1) < 2) return undefined;
  const ranks = await connectMpi();
  const memory = await memoryOfRanks(ranks, machineMemory());
  return {
    ranks,
    threads: await threadsOfRank(ranks, availableParallelism(), placeOf()),
    module: (bind) => {
      bind(COLLECTIVE, () => ranks);
      if (pipeline) bind(PIPELINE, () => pipeline);
      bind(SHARDED_BASE, () => isShared);
      bind(MACHINE_MEMORY, () => () => memory);
      bind(MODEL_RESOLVER, () => (name, options) => oneByOne(ranks, resolveModel, name, options));
    },
  };
}

/** The least that any rank has when the ranks of a machine share what is free. */
export async function memoryOfRanks(
  ranks: Collective,
  { totalBytes, usableBytes }: MachineMemory,
): Promise<MachineMemory> {
  const least = Float64Array.of(totalBytes, Math.floor(usableBytes / ranks.localSize));
  await ranks.allReduce(least, 'min');
  return { totalBytes: least[0]!, usableBytes: least[1]! };
}

/**
 * Ranks of a machine that may run on the same cores share them; those that a launcher has bound to
 * cores of their own have these.
 * @param place of this rank: equal for ranks on the same cores of the same machine
 */
export async function threadsOfRank(
  ranks: Collective,
  cores: number,
  place: Float64Array,
): Promise<number> {
  const places = new Float64Array(ranks.size);
  await ranks.allGather(place, places);
  const sharing = places.filter((other) => other === place[0]).length;
  return Math.max(1, Math.floor(cores / sharing));
}

/** A number for this machine and the cores that this process may use. */
function placeOf(): Float64Array {
  const digest = createHash('sha256').update(`${hostname()} ${allowedCores()}`).digest();
  return Float64Array.of(digest.readUIntBE(0, 6));
}

/** As Linux lists them; elsewhere launchers bind no process. */
function allowedCores(): string {
  try {
    return (
      /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
    );
  } catch {
    return '';
  }
}

/** The first rank of each machine downloads; the others find it done. */
async function oneByOne<A extends readonly unknown[], T>(
  ranks: Collective,
  work: (...given: A) => Promise<T>,
  ...given: A
): Promise<T> {
  if (ranks.localRank !== 0) await ranks.barrier();
  const made = await work(...given);
  if (ranks.localRank === 0) await ranks.barrier();
  return made;
}
