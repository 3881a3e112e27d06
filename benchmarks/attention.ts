/**
 * Attention of long sequences beside the products of its layer: `npm run bench:attention --
 * [--heads 32 --key-heads 8 --size 64 --lengths 512,1024,4096 --threads 1 --rounds 5]`.
 *
 * Causal, bf16 operands, forward and gradient, and a 2,048 × 2,048 product of as many rows, in turn.
 * GFLOP/s by processor time, which a busy machine disturbs less than time by the clock, counting
 * 4·T²/2·heads·size operations forward and 10·T²/2·heads·size in the gradient (the scores again, and
 * four products).
 */
import { parseArgs } from 'node:util';
import { loadBinding } from '../packages/engines/native/src/binding/load-binding.js';
import type { AttentionOptions } from '../packages/engines/native/src/binding/attention.js';

const { values: options } = parseArgs({
  options: {
    heads: { type: 'string', default: '32' },
    'key-heads': { type: 'string', default: '8' },
    size: { type: 'string', default: '64' },
    lengths: { type: 'string', default: '512,1024,2048,4096' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
  },
});
const [heads, keyValueHeads, headSize, threads, rounds] = (
  ['heads', 'key-heads', 'size', 'threads', 'rounds'] as const
).map((name) => Number(options[name])) as [number, number, number, number, number];
const WIDTH = 2048;

const native = loadBinding();
native.setThreads(threads);
const { instructionSet } = native.info();
console.log(
  `${instructionSet}, ${threads} thread${threads === 1 ? '' : 's'}; ${heads} heads of ${headSize}, ` +
    `${keyValueHeads} of keys; medians of ${rounds} rounds`,
);
console.log('length  forward  of products  gradient  of products  products, GFLOP/s');
for (const length of options.lengths.split(',').map(Number)) measure(length);

function measure(length: number): void {
  const [q, k, v] = [heads, keyValueHeads, keyValueHeads].map((count, i) =>
    random(length * count * headSize, i),
  ) as [Float32Array, Float32Array, Float32Array];
  const dy = random(q.length, 3);
  const [y, dq, dk, dv] = [q, q, k, v].map(({ length: size }) => new Float32Array(size)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const logSumExp = new Float32Array(length * heads);
  const offsets = Int32Array.of(0, length);
  const settings: AttentionOptions = {
    queryOffsets: offsets,
    keyOffsets: offsets,
    heads,
    keyValueHeads,
    headSize,
    scale: headSize ** -0.5,
    causal: true,
    window: 0,
    softCap: 0,
    biasIndex: null,
    biasOrigin: 0,
    biasColumns: 0,
    extra: 0,
    dropoutRate: 0,
    dropoutKey0: 0,
    dropoutKey1: 0,
    bf16: true,
  };
  const weight = native.weightFromBytes(
    new Uint8Array(WIDTH * WIDTH * 2),
    'bf16',
    WIDTH,
    WIDTH,
    false,
  );
  const [x, out] = [random(length * WIDTH, 4), new Float32Array(length * WIDTH)];
  const area = ((length * (length + 1)) / 2) * heads * headSize;
  const speeds = { forward: [] as number[], gradient: [] as number[], products: [] as number[] };
  for (let round = 0; round <= rounds; round += 1) {
    const forward = speed(4 * area, () =>
      native.attention(q, k, v, null, null, null, y, logSumExp, settings),
    );
    const gradient = speed(10 * area, () =>
      native.attentionGradient(
        ...([
          q,
          k,
          v,
          null,
          null,
          null,
          y,
          logSumExp,
          dy,
          dq,
          dk,
          dv,
          null,
          null,
          null,
          settings,
        ] as const),
      ),
    );
    const products = speed(2 * length * WIDTH * WIDTH, () =>
      native.linear(weight, x, null, out, length, true),
    );
    if (round === 0) continue; // warms up
    speeds.forward.push(forward);
    speeds.gradient.push(gradient);
    speeds.products.push(products);
  }
  native.weightFree(weight);
  const share = (speed: number[]) =>
    `${(100 * median(speed.map((value, i) => value / speeds.products[i]!))).toFixed(0)} %`;
  console.log(
    [
      String(length).padStart(6),
      median(speeds.forward).toFixed(0).padStart(8),
      share(speeds.forward).padStart(12),
      median(speeds.gradient).toFixed(0).padStart(9),
      share(speeds.gradient).padStart(12),
      median(speeds.products).toFixed(0).padStart(9),
    ].join(' '),
  );
}

/** GFLOP/s by processor time of all threads. */
function speed(operations: number, work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return operations / ((user + system) / threads) / 1e3;
}

function random(length: number, seed: number): Float32Array {
  let state = seed * 7919 + 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
