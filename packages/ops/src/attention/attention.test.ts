import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { attention, type AttentionOptions } from './attention.js';
import { randomUniform } from '../random/counter-random.js';
import { offsetsOf } from '../positions/offsets.js';

interface Case {
  name: string;
  queries: number[];
  keys?: number[];
  heads: number;
  keyValueHeads?: number;
  size: number;
  extra?: number;
  bias?: boolean;
  sinks?: boolean;
  options?: Partial<AttentionOptions>;
}

const CASES: Case[] = [
  { name: 'one sequence', queries: [5], heads: 2, size: 3 },
  { name: 'one token', queries: [1], heads: 2, size: 3 },
  { name: 'sequences of several lengths, also 1', queries: [3, 1, 4, 3, 1], heads: 2, size: 3 },
  { name: 'one head', queries: [2, 3], heads: 1, size: 4 },
  { name: 'causal', queries: [4, 1, 3], heads: 2, size: 3, options: { causal: true } },
  {
    name: 'causal with a window',
    queries: [6, 2],
    heads: 2,
    size: 3,
    options: { causal: true, window: 3 },
  },
  { name: 'a window to both sides', queries: [7, 2], heads: 1, size: 3, options: { window: 4 } },
  {
    name: 'queries at the end of longer keys',
    queries: [2, 1],
    keys: [5, 4],
    heads: 2,
    size: 3,
    options: { causal: true },
  },
  { name: 'cross-attention', queries: [4, 2, 1], keys: [2, 3, 1], heads: 2, size: 3 },
  {
    name: 'grouped key heads',
    queries: [3, 2],
    heads: 4,
    keyValueHeads: 2,
    size: 3,
    options: { causal: true },
  },
  { name: 'soft cap', queries: [3, 2], heads: 2, size: 3, options: { softCap: 0.7, scale: 0.9 } },
  { name: 'relative bias', queries: [4, 2], heads: 2, size: 3, bias: true },
  {
    name: 'extra keys',
    queries: [3, 1, 3],
    heads: 4,
    keyValueHeads: 2,
    size: 3,
    extra: 2,
    options: { causal: true },
  },
  {
    name: 'dropout',
    queries: [3, 2],
    heads: 2,
    size: 3,
    extra: 1,
    options: { dropout: { rate: 0.4, key: [3, 9] } },
  },
  {
    name: 'sinks',
    queries: [4, 1, 3],
    heads: 4,
    keyValueHeads: 2,
    size: 3,
    sinks: true,
    options: { causal: true, window: 3 },
  },
  {
    name: 'everything at once',
    queries: [3, 2, 3],
    keys: [4, 2, 4],
    heads: 4,
    keyValueHeads: 2,
    size: 2,
    extra: 2,
    bias: true,
    sinks: true,
    options: { causal: true, window: 2, softCap: 2, dropout: { rate: 0.3, key: [1, 2] } },
  },
];

function build({
  queries,
  keys = queries,
  heads,
  keyValueHeads = heads,
  size,
  extra = 0,
  bias,
  sinks,
  options,
}: Case) {
  const total = (lengths: number[]) => lengths.reduce((a, b) => a + b, 0);
  const tensors = [
    seededTensor<Tensor2D>('q', [total(queries), heads * size]),
    seededTensor<Tensor2D>('k', [total(keys), keyValueHeads * size]),
    seededTensor<Tensor2D>('v', [total(keys), keyValueHeads * size]),
    ...(bias ? [seededTensor<Tensor2D>('bias', [heads, 3])] : []),
    ...(sinks ? [seededTensor<Tensor1D>('sinks', [heads])] : []),
    ...(extra
      ? [
          seededTensor<Tensor2D>('ek', [extra, keyValueHeads * size]),
          seededTensor<Tensor2D>('ev', [extra, keyValueHeads * size]),
        ]
      : []),
  ];
  const run = (...inputs: Tensor[]) => {
    const [q, k, v, ...rest] = inputs as Tensor2D[];
    const values = bias ? rest.shift()! : undefined;
    const wells = sinks ? (rest.shift() as Tensor as Tensor1D) : undefined;
    return attention(q!, k!, v!, {
      queryOffsets: offsetsOf(queries),
      keyOffsets: offsetsOf(keys),
      heads,
      keyValueHeads,
      bias: values ? { values, index: Int32Array.from([2, 0, 1, 2]), origin: 1 } : undefined,
      extra: extra ? { keys: rest[0]!, values: rest[1]! } : undefined,
      sinks: wells,
      ...options,
    });
  };
  return { tensors, run };
}

/** Query by query and key by key, in float64. */
function slow(c: Case, tensors: Tensor[]): number[] {
  const {
    queries,
    keys = queries,
    heads,
    keyValueHeads = heads,
    size,
    extra = 0,
    bias,
    sinks,
    options: { causal, window = 0, softCap = 0, scale = 1 / Math.sqrt(size), dropout } = {},
  } = c;
  const [q, k, v, ...rest] = tensors.map((x) => x.arraySync() as number[][]);
  const values = bias ? rest.shift()! : undefined;
  const wells = sinks ? (rest.shift() as unknown as number[]) : undefined;
  const longest = Math.max(...keys) + extra;
  const y: number[] = [];
  let [queryStart, keyStart] = [0, 0];
  queries.forEach((queryLength, b) => {
    const keyLength = keys[b]!;
    for (let n = 0; n < queryLength; n += 1) {
      for (let h = 0; h < heads; h += 1) {
        const kv = Math.floor((h * keyValueHeads) / heads);
        const head = (row: number[], at: number) => row.slice(at * size, (at + 1) * size);
        const product = (key: number[]) => {
          const z =
            scale *
            head(q![queryStart + n]!, h).reduce((sum, x, e) => sum + x * head(key, kv)[e]!, 0);
          return softCap ? softCap * Math.tanh(z / softCap) : z;
        };
        const columns: { score: number; value: number[]; column: number }[] = [];
        for (let p = 0; p < extra; p += 1)
          columns.push({ score: product(rest[0]![p]!), value: head(rest[1]![p]!, kv), column: p });
        const i = n + keyLength - queryLength;
        for (let j = 0; j < keyLength; j += 1) {
          if (
            causal
              ? j > i || (window > 0 && j <= i - window)
              : window > 0 && Math.abs(i - j) > window / 2
          )
            continue;
          const relative = values
            ? values[h]![[2, 0, 1, 2][Math.min(Math.max(j - i + 1, 0), 3)]!]!
            : 0;
          columns.push({
            score: product(k![keyStart + j]!) + relative,
            value: head(v![keyStart + j]!, kv),
            column: extra + j,
          });
        }
        const total = columns.reduce(
          (sum, { score }) => sum + Math.exp(score),
          wells ? Math.exp(wells[h]!) : 0,
        );
        const row = new Array<number>(size).fill(0);
        for (const { score, value, column } of columns) {
          const kept =
            !dropout ||
            randomUniform(dropout.key, ((queryStart + n) * heads + h) * longest + column) >=
              dropout.rate;
          const p = kept ? Math.exp(score) / total / (1 - (dropout?.rate ?? 0)) : 0;
          value.forEach((x, e) => (row[e]! += p * x));
        }
        y.push(...row);
      }
    }
    queryStart += queryLength;
    keyStart += keyLength;
  });
  return y;
}

onEachBackend('attention', () => {
  test.each(CASES)(
    '$name: equals the sum over keys, and its gradients the central differences',
    (c) => {
      const { tensors, run } = build(c);
      expect(run(...tensors)).toBeAllclose(slow(c, tensors), { atol: 2e-6, rtol: 1e-5 });
      expectGradients(run, tensors, { samples: 12 });
    },
  );

  test('a sequence gives the same in a batch as alone', () => {
    const {
      tensors: [q, k, v],
    } = build({ name: '', queries: [3, 4, 2], heads: 2, size: 3 });
    const options = { heads: 2, causal: true };
    const together = attention(q as Tensor2D, k as Tensor2D, v as Tensor2D, {
      ...options,
      queryOffsets: offsetsOf([3, 4, 2]),
    });
    const part = (x: Tensor) => tf.slice(x as Tensor2D, [3, 0], [4, 6]);
    const alone = attention(part(q!), part(k!), part(v!), {
      ...options,
      queryOffsets: offsetsOf([4]),
    });
    expect(tf.slice(together, [3, 0], [4, 6])).toBeAllclose(alone, { atol: 1e-6 });
  });

  test('the same tensor as q, k and v gets the sum of the three gradients', () => {
    const x = seededTensor<Tensor2D>('x', [5, 6]);
    const self = (a: Tensor) =>
      attention(a as Tensor2D, a as Tensor2D, a as Tensor2D, {
        heads: 2,
        queryOffsets: offsetsOf([3, 2]),
      });
    expectGradients(self, [x]);
  });

  test('what all scores of a row have in common changes nothing, however large it is', () => {
    const queryOffsets = offsetsOf([4]);
    const v = seededTensor<Tensor2D>('v', [4, 2]);
    const dy = seededTensor<Tensor2D>('dy', [4, 2]);
    /** Values and gradients without those of the second column, which all scores share. */
    const results = (common: number): Tensor[] => {
      const beside = (values: readonly number[]): Tensor2D =>
        tf.tensor2d(values.map((value) => [value, common]));
      const [q, k] = [beside([1, 0.5, -1, 2]), beside([0.25, -0.5, 1, 0.75])];
      const computed = (...[a, b, c]: Tensor[]): Tensor2D =>
        attention(a as Tensor2D, b as Tensor2D, c as Tensor2D, {
          heads: 1,
          scale: 1,
          queryOffsets,
        });
      const [dq, dk, dv] = tf.grads(computed)([q, k, v], dy) as [Tensor2D, Tensor2D, Tensor2D];
      const first = (x: Tensor2D): Tensor => tf.slice(x, [0, 0], [4, 1]);
      return [computed(q, k, v), first(dq), first(dk), dv];
    };
    const [alone, shifted] = [results(0), results(48)]; // 48² = 2304 and the scores are exact
    alone.forEach((expected, at) => expect(shifted[at]!).toBeAllclose(expected, { atol: 1e-6 }));
  });

  test('shapes that do not fit are named', () => {
    const x = seededTensor<Tensor2D>('x', [4, 6]);
    const queryOffsets = offsetsOf([4]);
    expect(() => attention(x, x, x, { heads: 4, queryOffsets })).toThrow(/width of 6, 4 heads/);
    expect(() => attention(x, x, x, { heads: 2, queryOffsets: offsetsOf([3]) })).toThrow(
      /offsets end at 3, but there are 4 rows/,
    );
    expect(() => attention(x, x, x, { heads: 2, queryOffsets: offsetsOf([4, 0]) })).toThrow(
      /sequence 1 goes from row 4 to 4/,
    );
    expect(() => attention(x, x, tf.slice(x, [0, 0], [3, 6]), { heads: 2, queryOffsets })).toThrow(
      /v has shape \[3, 6\]/,
    );
    expect(() =>
      attention(x, tf.slice(x, [0, 0], [3, 6]), tf.slice(x, [0, 0], [3, 6]), {
        heads: 2,
        queryOffsets,
        keyOffsets: offsetsOf([3]),
        causal: true,
      }),
    ).toThrow(/4 queries and 3 keys/);
  });
});
