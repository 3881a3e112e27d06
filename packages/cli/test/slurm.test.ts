/** The recipe for Slurm, on a Slurm of this machine alone. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMpi } from '../../mpi/test/mpirun.js';
import { completed, command, root } from './processes.js';
import { adapterHash, lastStep, PROCESSES_MS } from './rank-processes.js';

const has = (program: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const missing = [
  ...['slurmctld', 'slurmd', 'sbatch', 'munged'].filter((program) => !has(program)),
  ...(openMpi ? [] : ['Open MPI']),
  ...(process.getuid?.() === 0 ? [] : ['root']),
];
if (missing.length > 0)
  console.log(`not tried: the recipe for Slurm, which needs ${missing.join(', ')}`);

const ROWS = 64;

/** Further flags of the fit: steps of four micro-batches. */
const FLAGS = [
  ...['--batch-size', '8', '--engine', 'portable', '--seed', '3'],
  ...['--set', 'env.per_gpu_batch_size=2', 'model.hf_text.max_text_len=32'],
];

let folder: string;
/** Where a job is submitted: what the recipe takes for granted is there. */
let work: string;
let environment: NodeJS.ProcessEnv;

const loopback = (verb: 'start' | 'stop') =>
  spawnSync(join(root, 'deploy/slurm-on-loopback.sh'), [verb, join(folder, 'slurm')], {
    encoding: 'utf8',
  });

/** Two ranks on this machine instead of four on two. @returns the number of the job */
function submit(output: string, ...flags: string[]): string {
  const { status, stdout, stderr } = spawnSync(
    'sbatch',
    [
      ...['--parsable', '--nodes=1', '--ntasks-per-node=2', '--cpus-per-task=1'],
      ...['--output', join(work, `${output}.log`), join(root, 'deploy/slurm.sh'), ...flags],
    ],
    { cwd: work, env: environment, encoding: 'utf8' },
  );
  expect(status, stderr).toBe(0);
  return stdout.trim();
}

/** Or runs. */
const isQueued = (job: string): boolean =>
  spawnSync('squeue', ['--noheader', '--jobs', job], {
    env: environment,
    encoding: 'utf8',
  }).stdout.trim() !== '';

async function ended(job: string): Promise<void> {
  while (isQueued(job)) await delay(200);
}

const logOf = (output: string): string => readFileSync(join(work, `${output}.log`), 'utf8');
const adapterOf = (output: string): string => adapterHash(join(work, output));

describe.skipIf(missing.length > 0)('the recipe for Slurm', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'peft-slurm-'));
    work = join(folder, 'work');
    mkdirSync(join(work, 'node_modules/.bin'), { recursive: true });
    symlinkSync(join(root, 'packages/cli/bin/peft.mjs'), join(work, 'node_modules/.bin/peft'));
    symlinkSync(join(root, 'examples/quickstart/model'), join(work, 'model'));
    const rows = readFileSync(join(root, 'examples/quickstart/data/en_train.tsv'), 'utf8');
    writeFileSync(
      join(work, 'train.tsv'),
      ['topic\ttext', ...rows.split('\n').slice(0, ROWS), ''].join('\n'),
    );
    const { status, stdout, stderr } = loopback('start');
    expect(status, stderr).toBe(0);
    environment = {
      ...process.env,
      SLURM_CONF: /SLURM_CONF=(.*)/.exec(stdout)![1]!,
      OMPI_MCA_rmaps_base_oversubscribe: '1',
    };
  }, PROCESSES_MS);
  afterAll(() => {
    loopback('stop');
    rmSync(folder, { recursive: true, force: true });
  });

  it(
    'stops a fit of two ranks with a checkpoint and goes on with it to the bytes of one process',
    async () => {
      const forLong = [...FLAGS, '--epochs', '400'];
      const stopped = submit('out', ...forLong);
      while (lastStep(join(work, 'out')) === 0 && isQueued(stopped)) await delay(50);
      // as Slurm itself does before a job's time is over
      spawnSync('scancel', ['--signal=USR2', stopped], { env: environment });
      await ended(stopped);
      expect(logOf('out')).toMatch(/was stopped after step \d+/);

      const until = [...forLong, '--set', `optim.max_steps=${lastStep(join(work, 'out')) + 3}`];
      await ended(submit('out', ...until));
      expect(existsSync(join(work, 'out/predictor.json')), logOf('out')).toBe(true);
      await completed(
        ...[...command, 'fit', join(work, 'train.tsv'), '--label', 'topic', '--method', 'lora'],
        ...['--model', join(work, 'model'), '--output', join(work, 'alone'), ...until],
      );
      expect(adapterOf('out')).toBe(adapterOf('alone'));
    },
    PROCESSES_MS,
  );
});
