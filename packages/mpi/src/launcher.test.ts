import { expect, it } from 'vitest';
import { launchOf, libraryNames } from './launcher.js';

it('knows who started a process as one of several', () => {
  expect(launchOf({})).toBeUndefined();
  expect(launchOf({ OMPI_COMM_WORLD_SIZE: '4' })).toMatchObject({ size: 4, isMpich: false });
  expect(launchOf({ PMI_SIZE: '2' })).toMatchObject({ size: 2, isMpich: true });
  const slurm = { SLURM_STEP_NUM_TASKS: '3', SLURM_PROCID: '0', SLURM_STEP_ID: '0' };
  expect(launchOf(slurm)).toMatchObject({ size: 3, program: 'srun' });
  // a batch script of a job with several tasks
  expect(launchOf({ SLURM_NTASKS: '3', SLURM_PROCID: '0' })).toBeUndefined();
});

it("looks for the launcher's own library first", () => {
  expect(libraryNames({}, 'linux')[0]).toBe('libmpi.so.40');
  expect(libraryNames({ PMI_SIZE: '2' }, 'linux')[0]).toBe('libmpi.so.12');
  expect(libraryNames({ PEFT_MPI_LIBRARY: '/opt/mpi.so' }, 'linux')).toEqual(['/opt/mpi.so']);
});
