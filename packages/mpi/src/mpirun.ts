/** Starting a program as ranks, by the `mpirun` of the system's MPI. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { PeftError } from '@peft/errors';

/** What to start, and where. */
export interface MpirunOptions {
  readonly ranks: number;
  /** Machines, each with its number of ranks, for instance `a:2,b:2`. Default: this one. */
  readonly hosts?: string;
  /** A program and its arguments, which each machine has at the same place. */
  readonly command: readonly string[];
}

/** Variables that ranks of other machines get too. */
const PASSED = /^(PEFT|HF|UCX|NODE)_/;

/**
 * Arguments of `mpirun`: no rank is bound to a core, as each divides the machine's cores itself.
 * @param environment whose variables go to other machines
 */
export function mpirunArguments(
  { ranks, hosts, command }: MpirunOptions,
  isMpich: boolean,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const count = ['-n', String(ranks)];
  if (isMpich) return [...count, ...(hosts === undefined ? [] : ['-hosts', hosts]), ...command];
  const passed = Object.keys(environment).filter((name) => PASSED.test(name));
  const places =
    hosts === undefined
      ? ['--oversubscribe']
      : ['--host', hosts, ...passed.flatMap((name) => ['-x', name])];
  return [...count, '--bind-to', 'none', ...places, ...command];
}

/**
 * Starts the ranks in a process group of their own, so that Ctrl-C reaches the caller alone: send
 * SIGUSR2, which Open MPI's `mpirun` passes on to every rank, to let them stop together, and SIGTERM
 * to end them.
 *
 * @param options.hosts `PEFT_MPIRUN` names another program than `mpirun`.
 * @throws PEFT_MPI_MISSING when there is no such program
 */
export function startMpirun(options: MpirunOptions): ChildProcess {
  const program = process.env['PEFT_MPIRUN'] ?? 'mpirun';
  const { error, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  if (error)
    throw new PeftError(
      'PEFT_MPI_MISSING',
      `mpi: ${program} cannot be started: ${error.message}.`,
      {
        hint:
          'install Open MPI (Debian: apt-get install openmpi-bin; macOS: brew install open-mpi) or ' +
          'MPICH on every machine, or name its mpirun with PEFT_MPIRUN',
        cause: error,
      },
    );
  const isMpich = !/Open MPI|OpenRTE|PRTE/i.test(stdout);
  return spawn(program, mpirunArguments(options, isMpich, process.env), {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
}
