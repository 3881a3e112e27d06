import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import {
  attention,
  crossEntropy,
  layerNorm,
  linear,
  memorySource,
  offsetsOf,
  rmsNorm,
  variableGradients,
  type FrozenWeight,
} from '@peft/ops';
import { seededTensor, seededValues } from '@peft/testing';
import { expect, test } from 'vitest';
import { describeOnWebgpu } from './with-driver.js';

const WIDTH = 48;

const slice = (x: Tensor, from: number, rows: number): Tensor2D =>
  tf.slice(x as Tensor2D, [from, 0], [rows, -1]);

describeOnWebgpu('the WebGPU engine', (engine) => {
  const freeze = (name: string, format: 'bf16' | 'nf4', out = WIDTH): FrozenWeight =>
    engine().freeze(memorySource(name, [out, WIDTH], seededValues(name, out * WIDTH)), { format });

  test('computes a row alike, whatever rows are beside it', () => {
    const x = seededTensor<Tensor2D>('x', [200, WIDTH]);
    const weights = [freeze('a', 'bf16'), freeze('b', 'nf4', 70)];
    const gamma = seededTensor<tf.Tensor1D>('gamma', [WIDTH]);
    const other = seededTensor<Tensor2D>('other', [70, WIDTH]);
    const operations: ((rows: Tensor2D) => Tensor)[] = [
      (rows) => engine().linear(rows, weights[0]!),
      (rows) => engine().linear(rows, weights[1]!),
      (rows) => engine().linearInputGradient(rows, weights[0]!),
      (rows) => tf.matMul(rows, other, false, true),
      (rows) => layerNorm(rows, gamma, undefined, 1e-5),
      (rows) => rmsNorm(rows, gamma, 1e-6),
      (rows) => tf.softmax(rows),
      (rows) => tf.sum(rows, 1),
    ];
    for (const run of operations) {
      const all = run(x);
      const width = all.size / 200;
      for (const [from, count] of [
        [0, 1],
        [17, 5],
        [100, 65],
      ] as const)
        expect(run(slice(x, from, count)).dataSync()).toEqual(
          all.dataSync().slice(from * width, (from + count) * width),
        );
    }
    for (const weight of weights) weight.dispose();
  });

  test('computes attention of a sequence alike, whatever sequences are beside it', () => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => seededTensor<Tensor2D>(name, [180, WIDTH]));
    const options = { heads: 3, causal: true };
    const together = attention(q!, k!, v!, { ...options, queryOffsets: offsetsOf([50, 30, 100]) });
    const alone = attention(slice(q!, 50, 30), slice(k!, 50, 30), slice(v!, 50, 30), {
      ...options,
      queryOffsets: offsetsOf([30]),
    });
    expect(alone.dataSync()).toEqual(together.dataSync().slice(50 * WIDTH, 80 * WIDTH));
  });

  test('counts what weights move as well', () => {
    const before = engine().usage().transfers;
    const weight = freeze('moved', 'nf4');
    const stored = (WIDTH * WIDTH) / 2 + (4 * WIDTH * WIDTH) / 64;
    engine().quantizedParts(weight);
    weight.dispose();
    const { waits, readBytes, uploadBytes } = engine().usage().transfers;
    expect([readBytes - before.readBytes, uploadBytes - before.uploadBytes]).toEqual([
      stored,
      stored,
    ]);
    expect(waits - before.waits).toBe(2); // codes and scales
  });

  test('gives whole numbers that were truths as whole numbers', () => {
    for (const size of [3, 100]) {
      const truths = tf.greater(tf.range(0, size), 1);
      const wanted = Int32Array.from({ length: size }, (_, n) => Number(n > 1));
      expect(tf.cast(truths, 'int32').dataSync()).toEqual(wanted);
      const given = tf.tensor1d(
        Array.from(wanted, (n) => n === 1),
        'bool',
      );
      expect(tf.cast(given, 'int32').dataSync()).toEqual(wanted);
    }
  });

  test('reads nothing in a step, keeps no buffer of it, and gives the same bytes on every run', () => {
    const frozen = freeze('w', 'nf4');
    const head = freeze('head', 'bf16', 90);
    const a = tf.variable(seededTensor('lora a', [4, WIDTH]));
    const b = tf.variable(seededTensor('lora b', [WIDTH, 4]));
    const step = (lengths: number[]): Tensor[] => {
      const rows = lengths.reduce((sum, length) => sum + length, 0);
      const { value, gradients } = variableGradients(
        () =>
          tf.tidy(() => {
            const x = engine().gather(
              head,
              Int32Array.from({ length: rows }, (_, n) => (7 * n) % 90),
            );
            const low = tf.matMul(
              tf.matMul(x, a as Tensor2D, false, true),
              b as Tensor2D,
              false,
              true,
            );
            const h = tf.add<Tensor2D>(linear(x, frozen), low);
            const y = attention(h, h, h, { heads: 3, queryOffsets: offsetsOf(lengths) });
            const labels = Int32Array.from({ length: rows }, (_, n) =>
              n % 5 === 0 ? -100 : n % 90,
            );
            return tf.mean(crossEntropy(linear(y, head), labels)).asScalar();
          }),
        [a, b],
      );
      return [value, gradients[a.name]!, gradients[b.name]!];
    };
    const read = (tensors: readonly Tensor[]) => tensors.map((tensor) => tensor.dataSync());
    const lengthsOf = (n: number) =>
      [3 + ((n * 7) % 40), 5 + 2 * (n % 10), 9].slice(0, 2 + (n % 2));
    const first = step(lengthsOf(4));
    const expected = read(first);
    tf.dispose(first);

    const before = engine().usage();
    let held = before;
    for (let n = 0; n < 100; n += 1) {
      tf.dispose(step(lengthsOf(n % 20)));
      if (n === 39) held = engine().usage(); // every batch has occurred twice
    }
    const after = engine().usage();
    expect(after.transfers.waits).toBe(before.transfers.waits);
    expect(after.memory.livingBuffers).toBe(held.memory.livingBuffers);
    expect(after.memory.restingBuffers).toBe(held.memory.restingBuffers);

    const again = step(lengthsOf(4));
    expect(read(again)).toEqual(expected);
    tf.dispose(again);
    a.dispose();
    b.dispose();
    frozen.dispose();
    head.dispose();
  });
});
