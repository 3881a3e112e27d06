import { BASE_ADAPTER, type Adapter } from '@peft/core';
import {
  expectGradients,
  seededTensor,
  tinyModels,
  toBeAllclose,
  usePortableEngine,
} from '@peft/testing';
import type { Engine } from '@peft/ops';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { scaledHouseholder } from './orthogonal-projection.js';
import { diReft, loReft } from './reft.js';

expect.extend({ toBeAllclose });

const parameterOf = (adapter: Adapter, end: string) =>
  [...adapter.parameters.values()].find(({ name }) => name.endsWith(end))!;

describe('ReFT', () => {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));

  it('makes orthonormal columns of any matrix', () => {
    tf.tidy(() => {
      const q = scaledHouseholder(seededTensor<Tensor2D>(3, [7, 3]), tf.tensor2d([[1, -1, 1]]));
      expect(tf.matMul(q, q, true, false)).toBeAllclose(tf.eye(3), { atol: 1e-6 });
    });
  });

  it('is a product of reflections, as torch.linalg.householder_product has it', () => {
    // By hand: v = (1, 2), τ = 2/5, H = I − τ·v·vᵀ, and its first column.
    tf.tidy(() => {
      expect(scaledHouseholder(tf.tensor2d([[9], [2]]), tf.tensor2d([[1]]))).toBeAllclose([
        1 - 2 / 5,
        -4 / 5,
      ]);
    });
  });

  it('has the gradients of finite differences, and none at the diagonal', () => {
    tf.tidy(() => {
      const matrix = seededTensor<Tensor2D>(4, [5, 2]);
      expectGradients((x) => scaledHouseholder(x as Tensor2D, tf.tensor2d([[1, -1]])), [matrix]);
      const gradient = tf
        .grad((x) =>
          tf.sum(
            tf.mul(
              scaledHouseholder(x as Tensor2D, tf.tensor2d([[1, -1]])),
              seededTensor(5, [5, 2]),
            ),
          ),
        )(matrix)
        .arraySync() as number[][];
      expect(
        [gradient[0]![0], gradient[0]![1], gradient[1]![1]].map(
          Math.abs as (x: number | undefined) => number,
        ),
      ).toEqual([0, 0, 0]);
    });
  });

  it('starts LoReFT with orthonormal rows, the first columns of an orthogonal matrix', () => {
    const model = tinyModels()[0]!.open(engine);
    const adapter = model.addAdapter('a', loReft({ rank: 3 }));
    const base = parameterOf(adapter, 'weight.0.base').value;
    tf.tidy(() => {
      expect(
        tf.matMul(base as unknown as Tensor2D, base as unknown as Tensor2D, true, false),
      ).toBeAllclose(tf.eye(12), { atol: 1e-5 });
    });
    model.dispose();
  });

  it('keeps what stands on the diagonal through steps with weight decay', async () => {
    const { open, batch } = tinyModels()[0]!;
    const model = open(engine);
    const adapter = model.addAdapter('a', loReft({ rank: 2 }));
    const { value } = parameterOf(adapter, 'weight.original');
    tf.tidy(() => void model.forward(batch));
    tf.tidy(() => value.assign(tf.add(tf.mul(value, 0.999), 0.01)));
    for (const hook of adapter.stepHooks) await hook({ step: 1, gradient: () => undefined });
    const rows = value.arraySync() as number[][];
    expect([rows[0]![0], rows[1]![1]]).toEqual([-1, -1]);
    expect(rows[0]![1]).toBeCloseTo(0.01);
    model.dispose();
  });

  it('changes the first and last tokens of each sequence alone', () => {
    const { open, batch, logitOffsets } = tinyModels()[2]!;
    const model = open(engine);
    const logits = () => tf.tidy(() => model.forward(batch).logits!.arraySync());
    const before = logits();
    model.addAdapter(
      'a',
      diReft({ rank: 2, prefixPositions: 0, suffixPositions: 1, layers: [1], dropout: 0 }),
    );
    const changed = logits()
      .map((row, n) => (row.some((value, v) => Math.abs(value - before[n]![v]!) > 1e-6) ? n : -1))
      .filter((n) => n >= 0);
    expect(changed).toEqual(Array.from(logitOffsets.slice(1), (end) => end - 1));
    model.dispose();
  });

  it('refuses a batch that mixes adapters', () => {
    const { open, batch } = tinyModels()[0]!;
    const model = open(engine);
    model.addAdapter('a', loReft());
    expect(() =>
      tf.tidy(() => void model.forward(batch, { assignment: ['a', BASE_ADAPTER, 'a'] })),
    ).toThrow(expect.objectContaining({ code: 'PEFT_MIXED_BATCH' }));
    model.dispose();
  });
});
