import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { createPortableEngine } from '@peft/portable';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { addThinProducts } from './add-thin-products.js';
import { embed } from '../rows/embed.js';
import { freezeTensor, isFrozenTensor } from '../weights/frozen-tensor.js';
import { gatherRows, scatterAddRows } from '../rows/gather-rows.js';
import { linear } from './linear.js';
import { memorySource } from '../weights/tensor-source.js';

onEachBackend('linear, embed and rows', (backend) => {
  const inputs = () =>
    [
      seededTensor<Tensor2D>('x', [3, 4]),
      seededTensor<Tensor2D>('w', [5, 4]),
      seededTensor<Tensor1D>('b', [5]),
    ] as const;
  const affine = (x: Tensor, w: Tensor, b?: Tensor) =>
    linear(x as Tensor2D, w as Tensor2D, b as Tensor1D);

  test('a trainable weight: y = x·Wᵀ + b with all three gradients', () => {
    const [x, w, b] = inputs();
    expect(affine(x, w, b)).toBeAllclose(tf.add(tf.matMul(x, w, false, true), b), { atol: 1e-6 });
    expectGradients(affine, [x, w, b]);
    expectGradients(affine, [x, w]);
    expectGradients((a, c) => affine(a, freezeTensor(tf.clone(w)), c), [x, b]);
    expectGradients((a) => affine(freezeTensor(tf.clone(x)), a), [w]);
  });

  test('a frozen weight: the same value and gradients', async () => {
    const engine = await createPortableEngine({ backend });
    const [x, w, b] = inputs();
    const frozen = engine.freeze(memorySource('w', [5, 4], w.dataSync() as Float32Array));
    expect(linear(x, frozen, b)).toBeAllclose(affine(x, w, b));
    const expected = tf.grads((a, c) => affine(a, w, c))([x, b]);
    tf.grads((a, c) => linear(a as Tensor2D, frozen, c as Tensor1D))([x, b]).forEach(
      (gradient, i) => expect(gradient).toBeAllclose(expected[i]!, { atol: 1e-6 }),
    );
    expect(isFrozenTensor(linear(freezeTensor(x), frozen))).toBe(true);
    frozen.dispose();
  });

  test('rows by index and their gradient; the same row twice gets both', () => {
    const x = seededTensor<Tensor2D>('x', [4, 3]);
    const rows = Int32Array.of(3, 0, 3, 3);
    expect(gatherRows(x, rows)).toBeAllclose(tf.gather(x, tf.tensor1d(rows, 'int32')));
    expectGradients((a) => gatherRows(a as Tensor2D, rows), [x]);
    expectGradients((a) => scatterAddRows(a as Tensor2D, rows, 6), [x]);
    expect(scatterAddRows(tf.tensor2d([[1], [2], [4], [8]]), rows, 5)).toBeAllclose([
      2, 0, 0, 13, 0,
    ]);
    expect(() => gatherRows(x, Int32Array.of(4))).toThrow(
      'index 4 at position 0 is outside the 4 rows',
    );
  });

  test('thin products are added to rows of theirs: values and gradients', () => {
    const [y, x] = [seededTensor<Tensor2D>('y', [4, 5]), seededTensor<Tensor2D>('x', [4, 3])];
    const [a, b] = [seededTensor<Tensor2D>('a', [2, 3]), seededTensor<Tensor2D>('b', [5, 2])];
    const rows = Int32Array.of(3, 1);
    const added = (...[base, input, left, right]: Tensor[]) =>
      addThinProducts(base as Tensor2D, input as Tensor2D, [
        { rows, a: left as Tensor2D, b: right as Tensor2D, scale: -0.5 },
      ]);
    const change = tf.mul(tf.matMul(tf.matMul(x, a, false, true), b, false, true), -0.5);
    const isChanged = tf.tensor2d([[0], [1], [0], [1]]);
    expect(added(y, x, a, b)).toBeAllclose(tf.add(y, tf.mul(change, isChanged)), { atol: 1e-6 });
    expectGradients(added, [y, x, a, b]);
    expect(() => addThinProducts(y, x, [{ rows: Int32Array.of(4), a, b, scale: 1 }])).toThrow(
      'index 4 at position 0 is outside the 4 rows',
    );
  });

  test('embed reads a frozen table and a trainable one alike', async () => {
    const engine = await createPortableEngine({ backend });
    const table = seededTensor<Tensor2D>('t', [6, 3]);
    const frozen = engine.freeze(memorySource('t', [6, 3], table.dataSync() as Float32Array));
    const ids = Int32Array.of(5, 0, 5);
    const rows = embed(frozen, ids);
    expect(rows).toBeAllclose(embed(table, ids));
    expect(isFrozenTensor(rows)).toBe(true);
    expectGradients((t) => embed(t as Tensor2D, ids), [table]);
    frozen.dispose();
  });
});
