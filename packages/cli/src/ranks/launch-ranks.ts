/** `--ranks 4` on a command line that nobody started as a rank: the same command, started as ranks. */
import { once } from 'node:events';
import { startMpirun } from '@peft/mpi';
import { StopSignal, type Terminal } from '../terminal/terminal.js';

/** How a command ends whose ranks have said what there was to say. */
export class RanksEnded extends Error {
  constructor(readonly exitCode: number) {
    super(`the ranks ended with ${exitCode}`);
    this.name = 'RanksEnded';
  }
}

/** Open MPI's `mpirun` takes a `--tune FILE` for its own, wherever it stands; not `--tune=FILE`. */
export function withoutTune(argv: readonly string[]): string[] {
  const at = argv.indexOf('--tune');
  if (at < 0) return [...argv];
  return [...argv.slice(0, at), `--tune=${argv[at + 1]}`, ...argv.slice(at + 2)];
}

/** From the first Ctrl-C to the end of ranks that do not stop by themselves. */
const STOP_MS = 600_000;

/**
 * Runs this very command as ranks. The first Ctrl-C lets them stop with a checkpoint.
 * @throws RanksEnded unless all went well; PEFT_MPI_MISSING
 */
export async function launchRanks(
  argv: readonly string[],
  { ranks, hosts }: { readonly ranks: number; readonly hosts: string | undefined },
  { signal }: Terminal,
): Promise<void> {
  const own = [process.execPath, ...process.execArgv, process.argv[1]!];
  const mpirun = startMpirun({ ranks, hosts, command: [...own, ...withoutTune(argv)] });
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    mpirun.kill('SIGUSR2');
    timer = setTimeout(() => mpirun.kill('SIGTERM'), STOP_MS);
  };
  signal.addEventListener('abort', stop);
  const end = (): void => void mpirun.kill('SIGTERM');
  process.once('exit', end);
  const [code] = (await once(mpirun, 'exit')) as [number | null];
  process.removeListener('exit', end);
  signal.removeEventListener('abort', stop);
  clearTimeout(timer);
  if (code === 0) return;
  const reason: unknown = signal.reason;
  throw new RanksEnded(reason instanceof StopSignal ? reason.exitCode : (code ?? 1));
}
