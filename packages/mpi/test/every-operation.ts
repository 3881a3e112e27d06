/**
 * One rank of a job that calls every operation: `mpirun -n 2 node … every-operation.ts`. Says what
 * came of each as a line of JSON.
 */
import type { RankNumbers } from '@peft/core';
import { connectMpi } from '../src/index.js';

const mpi = await connectMpi();
const { rank, size } = mpi;
const values = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => 10 * rank + i);
const after = async <T extends RankNumbers>(
  numbers: T,
  operation: (numbers: T) => Promise<void>,
): Promise<number[]> => {
  await operation(numbers);
  return [...numbers];
};

const ring = values(2);
const [to, from] = [(rank + 1) % size, (rank + size - 1) % size];
await mpi.barrier();
let turns = 0;
const ticking = setInterval(() => (turns += 1), 5);
// rank 0 lets the others wait
if (rank === 0) await new Promise((resolve) => setTimeout(resolve, 200));
await mpi.barrier();
clearInterval(ticking);

const report = {
  rank,
  size,
  localRank: mpi.localRank,
  localSize: mpi.localSize,
  version: mpi.version,
  isLoopFree: turns > 10,
  broadcast: await after(values(3), (numbers) => mpi.broadcast(numbers, size - 1)),
  sum: await after(values(3), (numbers) => mpi.allReduce(numbers, 'sum')),
  max: await after(Int32Array.of(rank, -rank), (numbers) => mpi.allReduce(numbers, 'max')),
  min: await after(Float64Array.of(rank, -rank), (numbers) => mpi.allReduce(numbers, 'min')),
  view: await after(new Uint8Array([9, rank, rank, 9]).subarray(1, 3), (numbers) =>
    mpi.allReduce(numbers, 'sum'),
  ),
  gathered: await after(new Float32Array(2 * size), (all) => mpi.allGather(values(2), all)),
  scattered: await after(new Float32Array(2), (own) =>
    mpi.reduceScatter(values(2 * size), own, 'sum'),
  ),
  received: await after(new Float32Array(2), async (numbers) => {
    await Promise.all([mpi.receive(numbers, from), mpi.send(ring, to)]);
  }),
  // more than fits into a message that is sent at once
  large: (
    await after(new Float32Array(1e6), async (numbers) => {
      await Promise.all([mpi.receive(numbers, from), mpi.send(values(1e6), to)]);
    })
  ).at(-1),
  // overtaken on another channel
  channels: await after(new Float32Array(2), async (numbers) => {
    const sent = [mpi.send(values(1), to, 1), mpi.send(ring, to, 2)];
    await mpi.receive(numbers, from, 2);
    await mpi.receive(numbers.subarray(1), from, 1);
    await Promise.all(sent);
  }),
  problem: await mpi
    .send(ring, size)
    .catch((error: unknown) => (error as { readonly code: string }).code),
  short: await Promise.all([mpi.receive(new Float32Array(3), from), mpi.send(ring, to)]).catch(
    (error: unknown) => (error as Error).message,
  ),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
await mpi.close();
process.exit();
