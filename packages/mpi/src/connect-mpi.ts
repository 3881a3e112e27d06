/** The ranks of an MPI job as a `Collective`. */
import type { Collective, RankNumbers } from '@peft/core';
import { PeftError } from '@peft/errors';
import { launchOf, libraryNames } from './launcher.js';
import { loadMpiBinding, REDUCTIONS, type MpiBinding } from './mpi-binding.js';

/** The ranks of this process's job. */
export interface MpiRanks extends Collective {
  /** What the library calls itself, for instance `Open MPI v4.1.4`. */
  readonly version: string;
  /**
   * Leaves the job after what was begun before; waits for all ranks to do so. Nothing may be called
   * after it.
   */
  close(): Promise<void>;
}

let connected: Promise<MpiRanks> | undefined;

/**
 * Starts MPI, once in a process: loads the system's library (`PEFT_MPI_LIBRARY` names another) and
 * calls MPI_Init_thread on a thread of its own, which alone calls MPI. Waiting ranks do not hold up
 * the event loop. When the process ends before `close`, all ranks are ended.
 *
 * @throws PEFT_MPI_UNAVAILABLE without the addon, PEFT_MPI_MISSING without a library,
 *   PEFT_MPI_LIBRARY for a library that cannot be used, PEFT_MPI_SINGLE when the launcher is of
 *   another MPI, so that every process takes itself for the only one
 */
export function connectMpi(): Promise<MpiRanks> {
  connected ??= connect();
  return connected;
}

async function connect(): Promise<MpiRanks> {
  const launch = launchOf(process.env);
  const binding = loadMpiBinding();
  const { started, library } = await start(binding);
  if (launch && launch.size > 1 && started.size === 1)
    throw new PeftError(
      'PEFT_MPI_SINGLE',
      `mpi: ${launch.program} started ${launch.size} ranks, and ${started.version} (${library}) sees only this one.`,
      {
        hint:
          'name the library of that launcher with PEFT_MPI_LIBRARY, or start the ranks with its own ' +
          'mpirun; under Slurm try srun --mpi=pmix',
      },
    );
  return {
    ...collectiveOf(binding, started),
    version: started.version,
    close: () => named('finalize', () => binding.finish()),
  };
}

/** The first library that is there. */
async function start(
  binding: MpiBinding,
): Promise<{ started: Awaited<ReturnType<MpiBinding['start']>>; library: string }> {
  const names = libraryNames(process.env, process.platform);
  const missing: string[] = [];
  for (const library of names) {
    try {
      return { started: await binding.start(library), library };
    } catch (cause) {
      const { message } = cause as Error;
      if (!isNotFound(message))
        throw new PeftError('PEFT_MPI_LIBRARY', `mpi: ${library} cannot be used: ${message}`, {
          hint: 'name another library with PEFT_MPI_LIBRARY',
          cause,
        });
      missing.push(message);
    }
  }
  throw new PeftError(
    'PEFT_MPI_MISSING',
    `mpi: there is no MPI library here: ${missing.join('; ')}.`,
    {
      hint:
        'install Open MPI (Debian: apt-get install openmpi-bin; macOS: brew install open-mpi) or ' +
        'MPICH on every machine, or name the library with PEFT_MPI_LIBRARY',
    },
  );
}

/** What the loaders of Linux and macOS say of a file that is not there. */
const isNotFound = (message: string): boolean =>
  /cannot open shared object file: No such file|no such file|image not found/i.test(message);

function collectiveOf(
  binding: MpiBinding,
  { rank, size, localRank, localSize }: Awaited<ReturnType<MpiBinding['start']>>,
): Collective {
  return {
    rank,
    size,
    localRank,
    localSize,
    barrier: () => named('barrier', () => binding.barrier()),
    broadcast: (values, root = 0) =>
      named('broadcast', () => {
        requireRank('broadcast', root, size);
        return binding.broadcast(values, root);
      }),
    allReduce: (values, reduction) =>
      named('all-reduce', () => binding.allReduce(values, REDUCTIONS[reduction])),
    allGather: (own, all) =>
      named('all-gather', () => {
        requireParts('all-gather', own, all, size);
        return binding.allGather(own, all);
      }),
    reduceScatter: (values, own, reduction) =>
      named('reduce-scatter', () => {
        requireParts('reduce-scatter', own, values, size);
        return binding.reduceScatter(values, own, REDUCTIONS[reduction]);
      }),
    send: (values, to, channel = 0) =>
      named('send', () => {
        requireRank('send', to, size);
        return binding.send(values, to, channel);
      }),
    receive: (values, from, channel = 0) =>
      named('receive', () => {
        requireRank('receive', from, size);
        return binding.receive(values, from, channel);
      }),
    abort: (exitCode) => binding.abort(exitCode),
  };
}

/** @throws PEFT_MPI_FAILED with what MPI says, and what is wrong with the call */
async function named(operation: string, begin: () => Promise<void>): Promise<void> {
  try {
    await begin();
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw new PeftError(
      'PEFT_MPI_FAILED',
      `mpi: ${operation} failed: ${(cause as Error).message}.`,
      {
        hint: 'look at what the other ranks say, and at the network between the machines',
        cause,
      },
    );
  }
}

function requireRank(operation: string, rank: number, size: number): void {
  if (Number.isInteger(rank) && rank >= 0 && rank < size) return;
  throw new PeftError(
    'PEFT_MPI_ARGUMENT',
    `mpi: ${operation} needs a rank from 0 to ${size - 1}, got ${rank}.`,
  );
}

/** `all` has a part like `own` for each rank. */
function requireParts(operation: string, own: RankNumbers, all: RankNumbers, size: number): void {
  if (all.length === own.length * size && all.constructor === own.constructor) return;
  throw new PeftError(
    'PEFT_MPI_ARGUMENT',
    `mpi: ${operation} of ${own.length} numbers on ${size} ranks needs an array of the same type ` +
      `with ${own.length * size}, got ${all.length}.`,
  );
}
