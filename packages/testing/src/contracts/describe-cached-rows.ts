/** What a cache of keys and values is made of: rows laid in rooms, and attention over them. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  attention,
  gatherRows,
  layRows,
  offsetsOf,
  rowsOfPlan,
  spacedRows,
  type RowPlan,
} from '@peft/ops';
import { expect, test } from 'vitest';
import { seededTensor } from '../seeded-tensor.js';

const [ROWS, WIDTH] = [9, 19];
const none = new Int32Array(0);

const PLANS: Readonly<Record<string, RowPlan>> = {
  'new rows among those that stay': {
    size: ROWS,
    isInPlace: true,
    moves: none,
    additions: Int32Array.of(0, 3, 2, 2, 8, 1),
  },
  'rows that are moved in order, and new ones': {
    size: ROWS,
    isInPlace: true,
    moves: Int32Array.of(0, 2, 4, 7, 0, 2, 2, 6, 1),
    additions: Int32Array.of(2, 8, 1),
  },
  'a larger matrix': {
    size: 12,
    isInPlace: false,
    moves: Int32Array.of(6, 0, 3, 0, 5, 6),
    additions: Int32Array.of(1, 3, 2),
  },
};

/** Declares the tests. */
export function describeCachedRows(): void {
  test.each(Object.entries(PLANS))('lays %s', (_, plan) => {
    const [x, added] = [
      seededTensor<Tensor2D>('x', [ROWS, WIDTH]),
      seededTensor<Tensor2D>('added', [3, WIDTH]),
    ];
    const all = [...x.arraySync(), ...added.arraySync()];
    // of its own, which may be written over
    const own = gatherRows(
      x,
      Int32Array.from({ length: ROWS }, (_, n) => n),
    );
    const laid = layRows(own, added, plan).arraySync();
    rowsOfPlan(plan, ROWS).forEach((row, place) => {
      if (row >= 0) expect(laid[place]).toEqual(all[row]);
    });
  });

  test('lays rows where there were none, and leaves memory that others share', () => {
    const added = seededTensor<Tensor2D>('added', [3, WIDTH]);
    const additions = Int32Array.of(0, 1, 3);
    const first = layRows(undefined, added, { size: 5, isInPlace: false, moves: none, additions });
    const shared = tf.reshape(first, [5 * WIDTH]);
    const before = tf.slice(shared, [WIDTH], [3 * WIDTH]).dataSync();
    layRows(first, added, {
      size: 5,
      isInPlace: true,
      moves: none,
      additions: Int32Array.of(2, 1, 1),
    });
    expect(before).toEqual(added.reshape([-1]).dataSync());
    expect(tf.slice(shared, [WIDTH], [3 * WIDTH]).dataSync()).toEqual(before);
  });

  test.each([
    ['one query each', [1, 1, 1]],
    ['several queries', [7, 1, 30]],
  ])('attends over keys with room between sequences as over packed ones: %s', (_, queries) => {
    const [heads, keyValueHeads, lengths, keyStarts] = [
      4,
      2,
      [130, 1, 65],
      Int32Array.of(70, 0, 240),
    ];
    const keyOffsets = offsetsOf(lengths);
    const [k, v] = ['k', 'v'].map((seed) => seededTensor<Tensor2D>(seed, [310, 16]));
    const order = spacedRows(keyOffsets, keyStarts);
    const q = seededTensor<Tensor2D>('q', [queries.reduce((sum, count) => sum + count, 0), 32]);
    const options = {
      queryOffsets: offsetsOf(queries),
      keyOffsets,
      heads,
      keyValueHeads,
      causal: true,
      window: 90,
    };
    expect(attention(q, k!, v!, { ...options, keyStarts }).dataSync()).toEqual(
      attention(q, gatherRows(k!, order), gatherRows(v!, order), options).dataSync(),
    );
  });
}
