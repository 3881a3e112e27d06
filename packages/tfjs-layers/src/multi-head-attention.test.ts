/**
 * tfjs has a MultiHeadAttention that its main entry leaves out: it is taken from its file, together
 * with the rest of tfjs-layers.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import * as layers from '@tensorflow/tfjs-layers/dist/exports_layers.js';
import { sequential } from '@tensorflow/tfjs-layers/dist/exports.js';
import { MultiHeadAttention } from '@tensorflow/tfjs-layers/dist/layers/nlp/multihead_attention.js';
import { lora } from '@peft/lora';
import { seededTensor, toBeAllclose } from '@peft/testing';
import { beforeAll, expect, test } from 'vitest';
import { peft } from './peft.js';

beforeAll(async () => {
  expect.extend({ toBeAllclose });
  await tf.setBackend('cpu');
});

test("an attention's projections are sites, and train under model.fit", async () => {
  const attention = new MultiHeadAttention({ numHeads: 2, keyDim: 3, name: 'attention' });
  /** Self-attention with the attention inside, as a layer of one's own. */
  class SelfAttention extends layers.Layer {
    readonly inner = attention;
    override computeOutputShape(shape: tf.Shape): tf.Shape {
      return shape;
    }
    override call(inputs: Tensor | Tensor[]): Tensor {
      const x = Array.isArray(inputs) ? inputs[0]! : inputs;
      return this.inner.call(x, { value: x });
    }
    static get className(): string {
      return 'SelfAttention';
    }
  }
  const model = sequential({
    layers: [
      layers.dense({ units: 6, inputShape: [4, 5], name: 'in' }),
      new SelfAttention({ name: 'self' }),
      layers.flatten(),
      layers.dense({ units: 2, activation: 'softmax', name: 'classes' }),
    ],
  });
  const x = seededTensor('x', [3, 4, 5]);
  const predict = (): number[] => tf.tidy(() => [...(model.predict(x) as Tensor).dataSync()]);
  const before = predict(); // the attention makes its weights when it first runs

  const adapted = peft(model, lora({ rank: 2 })); // queries and values, found by their roles
  expect(adapted.core.adapter('default').wrappedSites.map(({ path }) => path)).toEqual([
    'self.attention.query',
    'self.attention.value',
  ]);
  expect(adapted.parameterCounts().trainable).toBe(2 * 2 * (6 + 6));
  expect(predict()).toBeAllclose(before, { atol: 1e-6, rtol: 1e-5 });

  model.compile({ optimizer: tf.train.adam(0.05), loss: 'categoricalCrossentropy' });
  const y = tf.tensor2d([
    [1, 0],
    [0, 1],
    [1, 0],
  ]);
  const { history } = await model.fit(x, y, { epochs: 5, verbose: 0 });
  expect(history['loss']!.at(-1)).toBeLessThan(history['loss']![0] as number);
  const active = predict();
  adapted.merge();
  expect(predict()).toBeAllclose(active, { atol: 1e-5, rtol: 1e-4 });
  adapted.unmerge();
  adapted.mergeAndUnload();
  expect(predict()).toBeAllclose(active, { atol: 1e-5, rtol: 1e-4 });
  tf.dispose([x, y]);
  model.dispose();
});

test('an attention with a causal mask puts out what it did, and leaves nothing behind', () => {
  const attention = new MultiHeadAttention({ numHeads: 2, keyDim: 3, name: 'attention' });
  class Causal extends layers.Layer {
    readonly inner = attention;
    override computeOutputShape(shape: tf.Shape): tf.Shape {
      return shape;
    }
    override call(inputs: Tensor | Tensor[]): Tensor {
      const x = Array.isArray(inputs) ? inputs[0]! : inputs;
      return this.inner.call(x, { value: x, useCausalMask: true });
    }
    static get className(): string {
      return 'Causal';
    }
  }
  const model = sequential({ layers: [new Causal({ name: 'causal', inputShape: [4, 6] })] });
  const x = seededTensor('x', [2, 4, 6]);
  const predict = (): number[] => tf.tidy(() => [...(model.predict(x) as Tensor).dataSync()]);
  const before = predict();
  const tensors = tf.memory().numTensors;
  const adapted = peft(model, lora({ rank: 2 }));
  expect(predict()).toBeAllclose(before, { atol: 1e-6, rtol: 1e-5 });
  adapted.dispose();
  expect(predict()).toEqual(before);
  expect(tf.memory().numTensors).toBe(tensors);
  x.dispose();
  model.dispose();
});
