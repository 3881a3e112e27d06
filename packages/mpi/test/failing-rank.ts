/** Ranks that wait for one that fails: `mpirun -n 2 node … failing-rank.ts throw | kill | exit`. */
import { connectMpi } from '../src/index.js';

const mpi = await connectMpi();
await mpi.barrier();
if (mpi.rank === 1) {
  if (process.argv[2] === 'throw') throw new Error('rank 1 has had enough');
  if (process.argv[2] === 'kill') process.kill(process.pid, 'SIGKILL');
  if (process.argv[2] === 'abort') mpi.abort(7);
  process.exit(3);
}
await mpi.barrier();
