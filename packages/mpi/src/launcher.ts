/** What the program that started this process says about ranks. */

type Environment = Readonly<Record<string, string | undefined>>;

/** A launcher: the variable that holds the number of ranks, and whose library it starts. */
const LAUNCHERS = [
  { variable: 'OMPI_COMM_WORLD_SIZE', program: "Open MPI's mpirun", isMpich: false },
  { variable: 'PMI_SIZE', program: "MPICH's mpiexec", isMpich: true },
] as const;

/** How a process was started as one of several. */
export interface Launch {
  readonly size: number;
  /** For people. */
  readonly program: string;
  /** MPICH or one of its kin; undefined where the launcher starts either. */
  readonly isMpich?: boolean;
}

/** @returns undefined for a process that nobody started as a rank. */
export function launchOf(environment: Environment): Launch | undefined {
  for (const { variable, program, isMpich } of LAUNCHERS) {
    const size = Number(environment[variable]);
    if (size > 0) return { size, program, isMpich };
  }
  const { SLURM_STEP_NUM_TASKS: tasks, SLURM_STEP_ID: step, SLURM_PROCID: rank } = environment;
  // a batch script itself has no step
  if (Number(tasks) > 1 && step !== undefined && rank !== undefined)
    return { size: Number(tasks), program: 'srun' };
  return undefined;
}

/**
 * Names that the system's MPI may have, the launcher's own first. `PEFT_MPI_LIBRARY` replaces all.
 */
export function libraryNames(environment: Environment, platform: string): readonly string[] {
  const given = environment['PEFT_MPI_LIBRARY'];
  if (given) return [given];
  if (platform === 'darwin') return ['libmpi.40.dylib', 'libmpi.12.dylib', 'libmpi.dylib'];
  const openMpi = ['libmpi.so.40'];
  const mpich = ['libmpi.so.12', 'libmpich.so.12'];
  return launchOf(environment)?.isMpich
    ? [...mpich, ...openMpi, 'libmpi.so']
    : [...openMpi, ...mpich, 'libmpi.so'];
}
