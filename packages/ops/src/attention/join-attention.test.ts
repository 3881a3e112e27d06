import { expectGradients, seededTensor } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { attention } from './attention.js';
import { disentangledAttention } from './disentangled-attention.js';
import { debertaRelativeIndices } from './deberta-relative-indices.js';

const offsets = Int32Array.of(0, 3, 8, 9);
const heads = 2;
const matrix = (rows: number, seed: number): Tensor2D => seededTensor<Tensor2D>(seed, [rows, 8]);
const plain = {
  contentToPositionIndex: new Int32Array(1),
  positionToContentIndex: new Int32Array(1),
  relativeOrigin: 0,
};

onEachBackend('extra keys beside disentangled attention', () => {
  it('without position tables is plain attention with the same extra keys', () => {
    const [q, k, v, keys, values] = [
      matrix(9, 1),
      matrix(9, 2),
      matrix(9, 3),
      matrix(4, 4),
      matrix(4, 5),
    ];
    const scale = 0.4;
    const weights = matrix(9, 6);
    const run = (which: 'plain' | 'disentangled') =>
      tf.grads((...inputs: tf.Tensor[]) => {
        const [a, b, c, d, e] = inputs as [Tensor2D, Tensor2D, Tensor2D, Tensor2D, Tensor2D];
        const extra = { keys: d, values: e };
        const y =
          which === 'plain'
            ? attention(a, b, c, { queryOffsets: offsets, heads, scale, extra })
            : disentangledAttention(a, b, c, { offsets, heads, scale, indices: plain, extra });
        return tf.sum(tf.mul(y, weights));
      })([q, k, v, keys, values]);
    const [wanted, got] = [run('plain'), run('disentangled')];
    got.forEach((gradient, i) => expect(gradient).toBeAllclose(wanted[i]!, { atol: 1e-6 }));
  });

  it('per sequence is each sequence with its own keys', () => {
    const [q, k, v, keys, values] = [
      matrix(9, 1),
      matrix(9, 2),
      matrix(9, 3),
      matrix(6, 4),
      matrix(6, 5),
    ];
    const all = disentangledAttention(q, k, v, {
      offsets,
      heads,
      indices: plain,
      extra: { keys, values, perSequence: true },
    });
    for (let b = 0; b < 3; b += 1) {
      const [start, length] = [offsets[b]!, offsets[b + 1]! - offsets[b]!];
      const own = (x: Tensor2D) => tf.slice(x, [start, 0], [length, 8]);
      const alone = disentangledAttention(own(q), own(k), own(v), {
        offsets: Int32Array.of(0, length),
        heads,
        indices: plain,
        extra: {
          keys: tf.slice(keys, [2 * b, 0], [2, 8]),
          values: tf.slice(values, [2 * b, 0], [2, 8]),
        },
      });
      expect(own(all)).toBeAllclose(alone);
    }
  });

  it.each([false, true])(
    'has the gradients of finite differences beside position terms (per sequence: %s)',
    (perSequence) => {
      const indices = debertaRelativeIndices({
        positionBuckets: -1,
        maxRelativePositions: 4,
        maxLength: 5,
      });
      const extraRows = perSequence ? 6 : 2;
      const weights = matrix(9, 8);
      expectGradients(
        (q, k, v, positionKeys, positionQueries, keys, values) =>
          tf.sum(
            tf.mul(
              disentangledAttention(q as Tensor2D, k as Tensor2D, v as Tensor2D, {
                offsets,
                heads,
                indices,
                positionKeys: positionKeys as Tensor2D,
                positionQueries: positionQueries as Tensor2D,
                extra: { keys: keys as Tensor2D, values: values as Tensor2D, perSequence },
              }),
              weights,
            ),
          ),
        [
          matrix(9, 1),
          matrix(9, 2),
          matrix(9, 3),
          matrix(8, 4),
          matrix(8, 5),
          matrix(extraRows, 6),
          matrix(extraRows, 7),
        ],
        { samples: 8 },
      );
    },
  );

  it('refuses keys of another width', () => {
    const q = matrix(9, 1);
    expect(() =>
      disentangledAttention(q, q, q, {
        offsets,
        heads,
        indices: plain,
        extra: { keys: tf.zeros([2, 6]), values: tf.zeros([2, 6]) },
      }),
    ).toThrow('extra.keys has shape [2, 6]');
    expect(() =>
      disentangledAttention(q, q, q, {
        offsets,
        heads,
        indices: plain,
        extra: { keys: matrix(4, 2), values: matrix(4, 3), perSequence: true },
      }),
    ).toThrow('4 extra keys do not divide among 3 sequences');
  });
});
