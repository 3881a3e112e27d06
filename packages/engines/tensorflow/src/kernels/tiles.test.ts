import { offsetsOf } from '@peft/ops';
import { seededTensor, toBeAllclose } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import type { Tensor3D } from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { skew, TILE_SCORES, tileBatch, unskew } from './tiles.js';

expect.extend({ toBeAllclose });

describe('tiles', () => {
  test('hold every query once and no more scores than the budget', () => {
    const lengths = [5, 300, 7, 300, 64, 1, 299];
    const budget = 20_000;
    const { parts } = tileBatch(offsetsOf(lengths), offsetsOf(lengths), true, 3, 2, budget);
    for (const { group, tiles } of parts) {
      expect(tiles.map(({ first }) => first)).toEqual(
        tiles.map((_, n) => tiles.slice(0, n).reduce((sum, { count }) => sum + count, 0)),
      );
      expect(tiles.reduce((sum, { count }) => sum + count, 0)).toBe(group.queryLength);
      for (const { count } of tiles)
        expect(group.sequences.length * 3 * count * (2 + group.keyLength)).toBeLessThanOrEqual(
          budget,
        );
    }
    expect(parts.flatMap(({ group }) => group.sequences).sort((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 5, 6,
    ]);
  });

  test('of a batch of short texts are few, and those of a long one grow with its length', () => {
    const tilesOf = (lengths: number[]) =>
      tileBatch(offsetsOf(lengths), offsetsOf(lengths), false, 12, 0).parts.flatMap(
        ({ tiles }) => tiles,
      );
    expect(tilesOf(Array.from({ length: 32 }, () => 128))).toHaveLength(1);
    for (const length of [10_000, 40_000]) {
      const scores = tilesOf([length]).map(({ count }) => 12 * count * length);
      expect(Math.max(...scores)).toBeLessThanOrEqual(TILE_SCORES);
    }
  });

  test('start where the rows of their sequences lie', () => {
    const { parts } = tileBatch(offsetsOf([4, 4, 4]), offsetsOf([4, 4, 4]), false, 1, 0, 32);
    expect(parts.map(({ group }) => [group.sequences, group.queryStart, group.keyStart])).toEqual([
      [[0, 1], 0, 0],
      [[2], 8, 8],
    ]);
  });
});

describe('skewing', () => {
  test.each([
    [1, 1],
    [1, 5],
    [4, 1],
    [4, 4],
    [3, 7],
    [7, 3],
  ])('%i rows and %i columns: out[r, j] = x[r, j − r + rows − 1], and back', (rows, columns) => {
    tf.tidy(() => {
      const width = rows + columns - 1;
      const x = seededTensor<Tensor3D>('x', [2, rows, width]);
      const values = x.arraySync();
      const wanted = values.map((plane) =>
        plane.map((row, r) => Array.from({ length: columns }, (_, j) => row[j - r + rows - 1]!)),
      );
      const skewed = skew(x, rows, columns);
      expect(skewed).toBeAllclose(tf.tensor3d(wanted), { atol: 0, rtol: 0 });
      // ⟨skew(x), d⟩ = ⟨x, unskew(d)⟩ makes the one the transpose of the other.
      const d = seededTensor<Tensor3D>('d', [2, rows, columns]);
      expect(tf.sum(tf.mul(skewed, d)).dataSync()[0]).toBeCloseTo(
        tf.sum(tf.mul(x, unskew(d))).dataSync()[0]!,
        4,
      );
    });
  });
});
