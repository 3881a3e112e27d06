/**
 * The end of a step on one rank: a backward pass that is waited for instead of computed, and the
 * exchange of gradients in the shapes of LoRA of rank 16 on all linear layers of Llama-3-8B. Rank 0
 * prints {@link MeasuredExchange} as JSON. See
 * `../network.ts`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Collective, OwnedParameter } from '@peft/core';
import { connectMpi, measureLinks } from '@peft/mpi';
import { createGradientExchange } from '../../packages/trainer/src/ranks/exchange-gradients.js';
import { dealSum } from '../../packages/trainer/src/ranks/rank-shares.js';
import { sumTree } from '../../packages/trainer/src/step/sum-tree.js';
import type { MeasuredExchange } from './measured-exchange.js';
import { median } from './median.js';

const { values: options } = parseArgs({
  options: {
    'backward-seconds': { type: 'string' },
    'hold-ms': { type: 'string' },
    steps: { type: 'string' },
    bucket: { type: 'string' },
  },
});
const backwardMs = 1000 * Number(options['backward-seconds']);
const mpi = await connectMpi();
const held: Collective = {
  ...mpi,
  async send(values, to, channel) {
    await delay(Number(options['hold-ms']));
    await mpi.send(values, to, channel);
  },
};

/** In and out of the linear layers of a block. */
const LINEARS = [
  ...[4096, 4096],
  ...[4096, 1024],
  ...[4096, 1024],
  ...[4096, 4096],
  ...[4096, 14336],
  ...[4096, 14336],
  ...[14336, 4096],
];
const parameters = Array.from({ length: 32 }, (_, block) =>
  LINEARS.map((width, i) => ({
    key: `${block}.${i}`,
    parameter: { shape: [16, width] } as unknown as OwnedParameter,
  })),
).flat();
const order = [...parameters].reverse();
/** Small integers, whose sums are exact: a wrong one is seen. */
const valueOf = (rank: number, place: number): number => rank + 1 + (place % 7);
const gradients = parameters.map(({ parameter }, place) =>
  new Float32Array(parameter.shape[0]! * parameter.shape[1]!).fill(valueOf(mpi.rank, place)),
);
const share = dealSum(sumTree(new Array<number>(mpi.size).fill(1), 'pairwise'), mpi.size);
const report = { losses: new Float64Array(mpi.size), told: [], isAborted: false };

/** @returns seconds from the end of the backward pass to the sums */
async function step(exchange: ReturnType<typeof createGradientExchange>): Promise<number> {
  await mpi.barrier();
  exchange.begin(share);
  const startedAtMs = performance.now();
  for (const [i, { key }] of order.entries()) {
    const dueMs = startedAtMs + (backwardMs * (i + 1)) / order.length;
    await delay(Math.max(0, dueMs - performance.now()));
    exchange.put(key, gradients[order.length - 1 - i]!);
  }
  const computedAtMs = performance.now();
  const { gradients: sums } = await exchange.end(report, {});
  const seconds = (performance.now() - computedAtMs) / 1000;
  for (const [place, { key }] of parameters.entries()) {
    const expected = Array.from({ length: mpi.size }, (_, rank) => valueOf(rank, place));
    const sum = expected.reduce((total, value) => total + value, 0);
    const numbers = sums[key] as Float32Array | undefined;
    if (numbers && (numbers[0] !== sum || numbers.at(-1) !== sum))
      throw new Error(`${key} is ${numbers[0]} instead of ${sum}`);
  }
  return seconds;
}

const links = await measureLinks(mpi);
const exchange = createGradientExchange(
  held,
  parameters as never,
  1,
  options.bucket === 'whole' ? Infinity : undefined,
);
await step(exchange);
const seconds: number[] = [];
for (let i = 0; i < Number(options.steps); i += 1) {
  const slowest = Float64Array.of(await step(exchange));
  await mpi.allReduce(slowest, 'max');
  seconds.push(slowest[0]!);
}
const measured: MeasuredExchange = {
  seconds,
  latencySeconds: median(links.map(({ latencySeconds }) => latencySeconds)),
  bytesPerSecond: median(links.map(({ bytesPerSecond }) => bytesPerSecond)),
};
if (mpi.rank === 0) console.log(JSON.stringify(measured));
await mpi.close();
