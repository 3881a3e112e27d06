import { expect, it, vi } from 'vitest';
import { mpirunArguments, startMpirun } from './mpirun.js';

const environment = { PEFT_NUM_THREADS: '2', HF_HOME: '/hub', PATH: '/bin' };
const command = ['node', 'work.mjs'];

it('starts ranks here, more than cores if need be, and leaves cores to them', () => {
  expect(mpirunArguments({ ranks: 4, command }, false, environment).join(' ')).toBe(
    '-n 4 --bind-to none --oversubscribe node work.mjs',
  );
  expect(mpirunArguments({ ranks: 4, command }, true, environment).join(' ')).toBe(
    '-n 4 node work.mjs',
  );
});

it('starts ranks on other machines with the variables that matter', () => {
  const options = { ranks: 4, hosts: 'a:2,b:2', command };
  expect(mpirunArguments(options, false, environment).join(' ')).toBe(
    '-n 4 --bind-to none --host a:2,b:2 -x PEFT_NUM_THREADS -x HF_HOME node work.mjs',
  );
  expect(mpirunArguments(options, true, environment).join(' ')).toBe(
    '-n 4 -hosts a:2,b:2 node work.mjs',
  );
});

it('says what to install where there is no mpirun', () => {
  vi.stubEnv('PEFT_MPIRUN', 'mpirun-of-nobody');
  expect(() => startMpirun({ ranks: 2, command })).toThrow(
    expect.objectContaining({ code: 'PEFT_MPI_MISSING' }),
  );
});
