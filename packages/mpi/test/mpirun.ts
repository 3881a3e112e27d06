/** Ranks in processes of their own, started by an MPI that is installed here. */
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the ranks printed, and how their launcher ended. */
export interface RanksRun {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  readonly durationMs: number;
}

/** A launcher by one of its names, if what it says of itself has this word in it. */
function found(names: readonly string[], word: RegExp): string | undefined {
  return names.find((name) => {
    const { status, stdout } = spawnSync(name, ['--version'], { encoding: 'utf8' });
    return status === 0 && word.test(stdout);
  });
}

export const openMpi = found(['mpirun.openmpi', 'mpirun'], /Open MPI|OpenRTE/);
export const mpich = found(['mpirun.mpich', 'mpiexec.hydra', 'mpirun'], /HYDRA/);

/** Tests run as root in containers, and with more ranks than cores. */
export const LAUNCH_ENVIRONMENT = Object.freeze({
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
});

/** Runs a file of this folder as ranks. */
export function runRanks(
  launcher: string,
  ranks: number,
  file: string,
  { words = [], environment = {} }: { words?: string[]; environment?: Record<string, string> } = {},
): Promise<RanksRun> {
  const startedAt = performance.now();
  const script = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(
    launcher,
    [
      ...['-n', String(ranks), process.execPath, '--conditions=@peft/source'],
      ...['--import', import.meta.resolve('tsx'), script, ...words],
    ],
    { env: { ...process.env, ...LAUNCH_ENVIRONMENT, ...environment } },
  );
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ stdout, stderr, code, durationMs: performance.now() - startedAt }),
    );
  });
}
