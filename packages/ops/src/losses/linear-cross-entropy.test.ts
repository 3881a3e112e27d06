import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { createPortableEngine } from '@peft/portable';
import { expectGradients, seededTensor } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { crossEntropy } from './cross-entropy.js';
import { linear } from '../products/linear.js';
import { linearCrossEntropy, type LinearCrossEntropyOptions } from './linear-cross-entropy.js';
import { memorySource } from '../weights/tensor-source.js';

const labels = Int32Array.of(2, -100, 0, 7, 7);
const variants: [string, LinearCrossEntropyOptions][] = [
  ['plain', {}],
  ['two rows at a time', { chunk: 2 }],
  ['scaled', { chunk: 1, scale: 0.3 }],
  ['capped', { chunk: 3, softCap: 1.5 }],
  ['scaled and capped', { chunk: 3, softCap: 1.5, scale: 2 }],
];

onEachBackend('linearCrossEntropy', (backend) => {
  const inputs = () =>
    [
      seededTensor<Tensor2D>('h', [5, 4]),
      seededTensor<Tensor2D>('w', [8, 4]),
      seededTensor<Tensor1D>('b', [8]),
    ] as const;

  test.each(variants)(
    '%s: equals the cross entropy of the whole logits, and its gradients the central differences',
    (_, options) => {
      const [hidden, weight, bias] = inputs();
      const { scale = 1, softCap = 0 } = options;
      for (const b of [undefined, bias]) {
        const product = tf.mul(tf.matMul(hidden, weight, false, true), scale);
        const z = b ? tf.add(product, b) : product;
        const whole = crossEntropy(
          (softCap ? tf.mul(tf.tanh(tf.div(z, softCap)), softCap) : z) as Tensor2D,
          labels,
        );
        const run = (h: Tensor, w: Tensor, c?: Tensor) =>
          linearCrossEntropy(h as Tensor2D, w as Tensor2D, labels, {
            ...options,
            bias: c as Tensor1D | undefined,
          });
        expect(run(hidden, weight, b)).toBeAllclose(whole, { atol: 1e-5 });
        expectGradients(run, b ? [hidden, weight, b] : [hidden, weight]);
      }
    },
  );

  test.each(variants)(
    '%s: a frozen weight gives the same loss and gradients',
    async (_, options) => {
      const engine = await createPortableEngine({ backend });
      const [hidden, weight, bias] = inputs();
      const frozen = engine.freeze(memorySource('head', [8, 4], weight.dataSync() as Float32Array));
      const loss = (w: Parameters<typeof linearCrossEntropy>[1]) => (h: Tensor, b: Tensor) =>
        linearCrossEntropy(h as Tensor2D, w, labels, { ...options, bias: b as Tensor1D });
      expect(loss(frozen)(hidden, bias)).toBeAllclose(loss(weight)(hidden, bias), { atol: 1e-5 });
      const expected = tf.grads(loss(weight))([hidden, bias]);
      tf.grads(loss(frozen))([hidden, bias]).forEach((gradient, i) =>
        expect(gradient).toBeAllclose(expected[i]!, { atol: 1e-5 }),
      );
      frozen.dispose();
    },
  );

  test('no more than one chunk of logits exists at a time', () => {
    const hidden = seededTensor<Tensor2D>('h', [64, 4]);
    const weight = seededTensor<Tensor2D>('w', [1000, 4]);
    const start = tf.memory().numBytes;
    let peak = 0;
    const watched = new Proxy(weight, {
      get: (target, name) => (
        (peak = Math.max(peak, tf.memory().numBytes - start)),
        Reflect.get(target, name, target)
      ),
    });
    tf.tidy(() => linearCrossEntropy(hidden, watched, new Int32Array(64), { chunk: 4 }));
    expect(peak).toBeLessThan(64 * 1000 * 4); // the whole logits
    expect(linear(hidden, weight).size * 4).toBe(64 * 1000 * 4);
  });

  test('rows that are all left out give zeros and no gradient', () => {
    const [hidden, weight] = inputs();
    const none = new Int32Array(5).fill(-100);
    expect(linearCrossEntropy(hidden, weight, none)).toBeAllclose([0, 0, 0, 0, 0]);
    expect(tf.grad((h) => linearCrossEntropy(h as Tensor2D, weight, none))(hidden)).toBeAllclose(
      new Float32Array(20),
    );
  });
});
