import { appendRows, gatherRows, withReferenceKernels } from '@peft/ops';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNativeEngine } from '../src/index.js';

const engine = createNativeEngine({ precision: 'float32' });
beforeAll(() => engine.activate());
afterAll(() => engine.dispose());

/** Rows [n, 3] that tell their sequence, their place in it, and nothing else. */
const rowsOf = (lengths: readonly number[], from: readonly number[]): Tensor2D =>
  tf.tensor2d(
    lengths.flatMap((length, b) => Array.from({ length }, (_, t) => [b, from[b]! + t, 7])),
    [lengths.reduce((a, b) => a + b, 0), 3],
  );
const offsetsOf = (lengths: readonly number[]): Int32Array =>
  Int32Array.from([
    0,
    ...lengths.map((_, b) => lengths.slice(0, b + 1).reduce((a, c) => a + c, 0)),
  ]);

it('rows that grow token by token are those of the reference, and no tensor stays', () => {
  for (const start of [[5], [3, 1, 9]]) {
    const before = tf.memory().numTensors;
    let lengths = [...start];
    let grown = rowsOf(
      lengths,
      lengths.map(() => 0),
    );
    for (let step = 0; step < 300; step += 1) {
      const more = lengths.map((_, b) => (b === 1 && step % 2 === 0 ? 2 : 1));
      const added = rowsOf(more, lengths);
      const next = appendRows(grown, offsetsOf(lengths), added, offsetsOf(more));
      if (step % 50 === 0) {
        const copy = rowsOf(
          lengths,
          lengths.map(() => 0),
        );
        const wanted = withReferenceKernels(() =>
          tf.tidy(() => appendRows(copy, offsetsOf(lengths), added, offsetsOf(more)).arraySync()),
        );
        expect(next.arraySync()).toEqual(wanted);
        copy.dispose();
      }
      tf.dispose([grown, added]);
      grown = next;
      lengths = lengths.map((length, b) => length + more[b]!);
    }
    grown.dispose();
    expect(tf.memory().numTensors).toBe(before);
  }
});

it('memory that another tensor shares is not written over', () => {
  const x = gatherRows(tf.tensor2d([1, 2], [2, 1]), Int32Array.of(0, 1));
  // has room now
  const grown = appendRows(x, Int32Array.of(0, 2), tf.tensor2d([3], [1, 1]), Int32Array.of(0, 1));
  const shared = grown.reshape([1, 3]);
  const further = appendRows(
    grown,
    Int32Array.of(0, 1, 3),
    tf.tensor2d([4, 5], [2, 1]),
    Int32Array.of(0, 1, 2),
  );
  expect(Array.from(further.dataSync())).toEqual([1, 4, 2, 3, 5]);
  expect(Array.from(shared.dataSync())).toEqual([1, 2, 3]);
  tf.dispose([x, grown, shared, further]);
});
