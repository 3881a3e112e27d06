import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { randomUniform } from '../random/counter-random.js';
import { debertaRelativeIndices, debertaTableRows } from './deberta-relative-indices.js';
import { disentangledAttention, type DisentangledOptions } from './disentangled-attention.js';
import { offsetsOf } from '../positions/offsets.js';

const heads = 2;
const size = 3;
const positions = { positionBuckets: 4, maxRelativePositions: 16 };
const rows = debertaTableRows(positions);

function build(
  lengths: number[],
  tables: ('c2p' | 'p2c')[],
  options: Partial<DisentangledOptions> = {},
) {
  const total = lengths.reduce((a, b) => a + b, 0);
  const tensors = [
    ...['q', 'k', 'v'].map((seed) => seededTensor<Tensor2D>(seed, [total, heads * size])),
    ...tables.map((seed) => seededTensor<Tensor2D>(seed, [rows, heads * size])),
  ];
  const indices = debertaRelativeIndices({ ...positions, maxLength: 9 });
  const run = (...inputs: Tensor[]) => {
    const [q, k, v, ...rest] = inputs as Tensor2D[];
    const given = Object.fromEntries(
      tables.map((table, i) => [table === 'c2p' ? 'positionKeys' : 'positionQueries', rest[i]!]),
    );
    return disentangledAttention(q!, k!, v!, {
      offsets: offsetsOf(lengths),
      heads,
      indices,
      ...given,
      ...options,
    });
  };
  return { tensors, run, indices };
}

/** Score by score, in float64. */
function slow(
  lengths: number[],
  tables: ('c2p' | 'p2c')[],
  tensors: Tensor[],
  index: Int32Array,
  origin: number,
  dropout?: { rate: number; key: readonly [number, number] },
): number[] {
  const [q, k, v, ...rest] = tensors.map((x) => x.arraySync() as number[][]);
  const table = (name: 'c2p' | 'p2c') =>
    tables.includes(name) ? rest[tables.indexOf(name)] : undefined;
  const scale = 1 / Math.sqrt(size * (1 + tables.length));
  const longest = Math.max(...lengths);
  const out: number[] = [];
  let start = 0;
  for (const length of lengths) {
    for (let i = 0; i < length; i += 1) {
      for (let h = 0; h < heads; h += 1) {
        const dot = (a: number[], b: number[]) =>
          a.slice(h * size, (h + 1) * size).reduce((sum, x, e) => sum + x * b[h * size + e]!, 0);
        const scores = Array.from({ length }, (_, j) => {
          const row = index[i - j + origin]!;
          const [qi, kj] = [q![start + i]!, k![start + j]!];
          return (
            scale *
            (dot(qi, kj) +
              (table('c2p') ? dot(qi, table('c2p')![row]!) : 0) +
              (table('p2c') ? dot(kj, table('p2c')![row]!) : 0))
          );
        });
        const total = scores.reduce((sum, s) => sum + Math.exp(s), 0);
        const p = scores.map((s, j) => {
          const kept =
            !dropout ||
            randomUniform(dropout.key, ((start + i) * heads + h) * longest + j) >= dropout.rate;
          return kept ? Math.exp(s) / total / (1 - (dropout?.rate ?? 0)) : 0;
        });
        for (let e = 0; e < size; e += 1)
          out.push(p.reduce((sum, x, j) => sum + x * v![start + j]![h * size + e]!, 0));
      }
    }
    start += length;
  }
  return out;
}

onEachBackend('disentangledAttention', () => {
  test.each([
    { lengths: [4], tables: ['c2p', 'p2c'] as const },
    { lengths: [1], tables: ['c2p', 'p2c'] as const },
    { lengths: [3, 9, 1, 3, 2], tables: ['c2p', 'p2c'] as const },
    { lengths: [3, 2], tables: ['c2p'] as const },
    { lengths: [3, 2], tables: ['p2c'] as const },
    { lengths: [3, 3], tables: [] as const },
  ])(
    'lengths $lengths with $tables: equals the sum over keys, and its gradients the central differences',
    ({ lengths, tables }) => {
      const { tensors, run, indices } = build(lengths, [...tables]);
      expect(run(...tensors)).toBeAllclose(
        slow(lengths, [...tables], tensors, indices.contentToPositionIndex, indices.relativeOrigin),
        { atol: 2e-6, rtol: 1e-5 },
      );
      expectGradients(run, tensors, { samples: 12 });
    },
  );

  test('probabilities are dropped by their number in the batch', () => {
    const dropout = { rate: 0.3, key: [5, 6] } as const;
    const { tensors, run, indices } = build([3, 2, 3], ['c2p', 'p2c'], { dropout });
    expect(run(...tensors)).toBeAllclose(
      slow(
        [3, 2, 3],
        ['c2p', 'p2c'],
        tensors,
        indices.contentToPositionIndex,
        indices.relativeOrigin,
        dropout,
      ),
      { atol: 2e-6, rtol: 1e-5 },
    );
    expectGradients(run, tensors, { samples: 8 });
  });

  test('distances beyond the table of indices use its ends', () => {
    const { tensors, run } = build([9], ['c2p', 'p2c'], {
      indices: debertaRelativeIndices({ ...positions, maxLength: 9 }),
    });
    const table = debertaRelativeIndices({ ...positions, maxLength: 3 });
    const { run: clippedRun } = build([9], ['c2p', 'p2c'], { indices: table });
    const constant = Int32Array.from(
      { length: 17 },
      (_, at) => table.contentToPositionIndex[Math.min(Math.max(at - 6, 0), 4)]!,
    );
    const { run: wideRun } = build([9], ['c2p', 'p2c'], {
      indices: {
        contentToPositionIndex: constant,
        positionToContentIndex: constant,
        relativeOrigin: 8,
      },
    });
    expect(clippedRun(...tensors)).toBeAllclose(wideRun(...tensors));
    expect(clippedRun(...tensors)).not.toBeAllclose(run(...tensors), { atol: 1e-3 });
  });

  test('a table of another width or an index outside it is named', () => {
    const { tensors } = build([3], ['c2p', 'p2c']);
    const [q, k, v] = tensors;
    const offsets = offsetsOf([3]);
    const indices = debertaRelativeIndices({ ...positions, maxLength: 3 });
    expect(() =>
      disentangledAttention(q!, k!, v!, {
        offsets,
        heads,
        indices,
        positionKeys: tf.zeros([rows, 4]),
      }),
    ).toThrow(/positionKeys has shape \[8, 4\]/);
    expect(() =>
      disentangledAttention(q!, k!, v!, {
        offsets,
        heads,
        indices,
        positionKeys: tf.zeros([3, 6]),
      }),
    ).toThrow(/outside the 3 rows of positionKeys/);
  });
});
