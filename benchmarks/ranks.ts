/**
 * What two ranks of one thread get done against one process of two: `node tools/run-source.mjs
 * benchmarks/ranks.ts [--arch llama-small --length 256 --micro-batches 8 --rounds 3 --shard-base]`.
 *
 * Ranks are bound to a core each by Open MPI; they and the two threads are run in turn, on random
 * weights. The same measured micro-batches then feed a simulation of ranks on a slower link, which is
 * no measurement: see `ranks/simulate-link.ts`.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from './ranks/median.js';
import type { MeasuredSteps } from './ranks/measured-steps.js';
import { simulateLink } from './ranks/simulate-link.js';

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: 'llama-small' },
    length: { type: 'string', default: '256' },
    'micro-batches': { type: 'string', default: '8' },
    steps: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    'shard-base': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(
    'ranks [--arch llama-small] [--length 256] [--micro-batches 8] [--steps 5] [--rounds 3] ' +
      '[--shard-base]',
  );
  process.exit(0);
}

/** As `bench:step` took for a micro-batch of Llama-3-8B of 512 tokens on two cores: see README.md. */
const EIGHT_BILLION = { microBatchSeconds: 36.8, trainableParameters: 41_943_040 };
const LINK = { bytesPerSecond: 125e6, latencySeconds: 1e-3 };

const child = fileURLToPath(new URL('ranks/steps-in-child.ts', import.meta.url));
const words = [
  ...['--arch', options.arch, '--length', options.length, '--steps', options.steps],
  ...['--micro-batches', options['micro-batches']],
];
const node = [process.execPath, ...process.execArgv, child, ...words];

function measured(command: readonly string[]): MeasuredSteps {
  const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), {
    encoding: 'utf8',
    env: {
      ...process.env,
      OMPI_ALLOW_RUN_AS_ROOT: '1',
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
    },
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as MeasuredSteps;
}

const oneProcess = (): MeasuredSteps =>
  measured(['taskset', '-c', '0,1', ...node, '--threads', '2']);
const twoRanks = (): MeasuredSteps =>
  measured([
    ...['mpirun', '-n', '2', '--bind-to', 'core', '--map-by', 'core', ...node, '--threads', '1'],
    ...(options['shard-base'] ? ['--shard-base'] : []),
  ]);

const ratios: number[] = [];
const byProcessor: number[] = [];
const shares: number[] = [];
for (let round = 0; round < Number(options.rounds); round += 1) {
  const [threads, ranks] = [oneProcess(), twoRanks()];
  ratios.push(ranks.tokensPerSecond / threads.tokensPerSecond);
  byProcessor.push(ranks.tokensPerProcessorSecond / threads.tokensPerProcessorSecond);
  shares.push(...ranks.seconds.map((seconds) => seconds / median(ranks.seconds)));
  console.log(
    `round ${round + 1}: ${threads.tokensPerSecond.toFixed(0)} tokens/s by two threads, ` +
      `${ranks.tokensPerSecond.toFixed(0)} by two ranks${options['shard-base'] ? ' that share the base' : ''}: ` +
      `${ratios.at(-1)!.toFixed(3)}, ${byProcessor.at(-1)!.toFixed(3)} by processor time ` +
      `(loss ${threads.loss.toFixed(4)} and ${ranks.loss.toFixed(4)})`,
  );
}
const spread = (values: readonly number[]): string =>
  `${median(values).toFixed(3)} (${Math.min(...values).toFixed(3)} to ${Math.max(...values).toFixed(3)})`;
console.log(`two ranks of one thread ÷ two threads: ${spread(ratios)} by the clock`);
console.log(`the same by processor time: ${spread(byProcessor)}`);
for (const ranks of [2, 4, 8])
  console.log(
    `simulated, 8B with LoRA of rank 16, ${ranks} ranks at 1 Gbit/s and 1 ms: ` +
      simulateLink({
        ...EIGHT_BILLION,
        ...LINK,
        ranks,
        microBatchesOfRank: 8,
        shares,
      }).toFixed(3),
  );
