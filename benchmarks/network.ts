/**
 * What an exchange of gradients over a slow network costs a step: `node tools/run-source.mjs
 * benchmarks/network.ts [--ranks 4 --rate 1gbit --delay 1ms --micro-batch-seconds 36.8 --steps 3]`,
 * as root.
 *
 * Each rank is in a network namespace of its own, whose link `tc` shapes, and talks over TCP by Open
 * MPI. The exchange is the trainer's, of gradients in the shapes of an 8B model; the backward pass
 * beside it is waited for, as long as a measured one took, since all ranks are on one machine. Where
 * the kernel cannot delay packets, each message is held for the delay before it is sent.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { MeasuredExchange } from './ranks/measured-exchange.js';
import { median } from './ranks/median.js';

const { values: options } = parseArgs({
  options: {
    ranks: { type: 'string', default: '4' },
    rate: { type: 'string', default: '1gbit' },
    delay: { type: 'string', default: '1ms' },
    /** As `bench:step` took for one of Llama-3-8B of 512 tokens on two cores: see README.md. */
    'micro-batch-seconds': { type: 'string', default: '36.8' },
    'micro-batches': { type: 'string', default: '8' },
    steps: { type: 'string', default: '3' },
  },
});
const { ranks, rate, delay } = options;
const microBatchSeconds = Number(options['micro-batch-seconds']);
/** Of a micro-batch's time. */
const BACKWARD = 2 / 3;

const network = fileURLToPath(new URL('ranks/network.sh', import.meta.url));
const child = fileURLToPath(new URL('ranks/exchange-in-child.ts', import.meta.url));

function run(command: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), {
    encoding: 'utf8',
    env: { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' },
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

function exchanged(isHeld: boolean, bucket: string, backwardSeconds: number): MeasuredExchange {
  const hosts = Array.from({ length: Number(ranks) }, (_, i) => `10.77.0.${i + 1}:1`).join(',');
  const out = run([
    ...['mpirun', '--host', hosts, '-n', ranks, '--bind-to', 'none'],
    ...['--mca', 'plm_rsh_agent', `${network} in`, '--mca', 'plm_rsh_no_tree_spawn', '1'],
    ...['--mca', 'btl', 'tcp,self', '--mca', 'pml', 'ob1'],
    ...[
      '--mca',
      'btl_tcp_if_include',
      '10.77.0.0/24',
      '--mca',
      'oob_tcp_if_include',
      '10.77.0.0/24',
    ],
    ...[process.execPath, ...process.execArgv, child],
    ...['--backward-seconds', String(backwardSeconds), '--steps', options.steps],
    ...['--hold-ms', isHeld ? String(parseFloat(delay)) : '0', '--bucket', bucket],
  ]);
  return JSON.parse(out.trim().split('\n').at(-1)!) as MeasuredExchange;
}

const stepSeconds = Number(options['micro-batches']) * microBatchSeconds;
run([network, 'down', ranks]);
try {
  const isHeld = run([network, 'up', ranks, rate, delay]).trim() !== 'delayed';
  for (const [bucket, words] of [
    ['default', 'in buckets, beside the backward pass'],
    ['whole', 'after the backward pass'],
  ] as const) {
    const { seconds, latencySeconds, bytesPerSecond } = exchanged(
      isHeld,
      bucket,
      BACKWARD * microBatchSeconds,
    );
    const wait = median(seconds);
    console.log(
      `${ranks} ranks, ${((8 * bytesPerSecond) / 1e9).toFixed(2)} Gbit/s, ` +
        `${(1e3 * latencySeconds).toFixed(2)} ms${isHeld ? ` and ${delay} that each message is held` : ''}; ` +
        `gradients ${words}: ${wait.toFixed(2)} s are waited for ` +
        `(${seconds.map((each) => each.toFixed(2)).join(', ')}), ` +
        `an efficiency of ${(stepSeconds / (stepSeconds + wait)).toFixed(4)} in steps of ${stepSeconds.toFixed(0)} s`,
    );
  }
} finally {
  run([network, 'down', ranks]);
}
