import { attention, gatherRows, layRows } from '@peft/ops';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createNativeEngine } from '../src/index.js';

const engine = createNativeEngine({ precision: 'float32' });
beforeAll(() => engine.activate());
afterAll(() => engine.dispose());

it('a row that is laid among others copies itself alone', () => {
  tf.tidy(() => {
    const table = tf.range(0, 3000).reshape([1000, 3]) as Tensor2D;
    const x = gatherRows(
      table,
      Int32Array.from({ length: 1000 }, (_, n) => n),
    );
    const added = tf.tensor2d([7, 8, 9], [1, 3]);
    let copied = 0;
    const set = vi.spyOn(Float32Array.prototype, 'set').mockImplementation(function (
      this: Float32Array,
      ...[values, at = 0]: Parameters<Float32Array['set']>
    ) {
      copied += values.length;
      for (let n = 0; n < values.length; n += 1) this[at + n] = values[n]!;
    });
    const move = vi.spyOn(Float32Array.prototype, 'copyWithin');
    const laid = layRows(x, added, {
      size: 1000,
      isInPlace: true,
      moves: new Int32Array(0),
      additions: Int32Array.of(0, 500, 1),
    });
    set.mockRestore();
    expect([copied, move.mock.calls.length]).toEqual([3, 0]);
    move.mockRestore();
    expect(Array.from(laid.slice([499, 0], [3, -1]).dataSync())).toEqual([
      1497, 1498, 1499, 7, 8, 9, 1503, 1504, 1505,
    ]);
  });
});

it('keys with room between sequences have no gradient, and lie inside of their matrix', () => {
  tf.tidy(() => {
    const [q, k] = [tf.ones([2, 4]), tf.ones([9, 4])] as [Tensor2D, Tensor2D];
    const options = {
      queryOffsets: Int32Array.of(0, 1, 2),
      keyOffsets: Int32Array.of(0, 3, 5),
      heads: 2,
    };
    expect(() =>
      tf.grad((queries) =>
        attention(queries as Tensor2D, k, k, { ...options, keyStarts: Int32Array.of(6, 0) }),
      )(q),
    ).toThrow(/no gradient/);
    expect(() => attention(q, k, k, { ...options, keyStarts: Int32Array.of(0, 8) })).toThrow(
      /the 2 keys from row 8 on are outside of the 9 rows/,
    );
  });
});
