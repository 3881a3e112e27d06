import { expectGradients, seededTensor } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { sequenceGate, spreadOverTokens } from './sequence-gate.js';

const offsets = Int32Array.of(0, 1, 4);

onEachBackend('gates of sequences', () => {
  it('are means of the logistic function over the tokens', () => {
    const x = tf.tensor2d([
      [1, 2],
      [0, 1],
      [3, -1],
      [2, 2],
    ]);
    const gate = sequenceGate(x, tf.tensor2d([[0.5, -1]]), tf.tensor1d([0.25]), offsets);
    const s = (z: number) => 1 / (1 + Math.exp(-z));
    expect(gate).toBeAllclose([s(-1.25), (s(-0.75) + s(2.75) + s(-0.75)) / 3]);
    expect(spreadOverTokens(gate, offsets)).toBeAllclose(
      [0, 1, 1, 1].map((b) => gate.dataSync()[b]!),
    );
  });

  it('have the gradients of finite differences', () => {
    expectGradients(
      (x, w, c) =>
        spreadOverTokens(
          sequenceGate(x as Tensor2D, w as Tensor2D, c as Tensor1D, offsets),
          offsets,
        ),
      [seededTensor(1, [4, 3]), seededTensor(2, [2, 3]), seededTensor(3, [2])],
    );
  });
});
