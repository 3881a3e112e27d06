import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, useModel, usePortableEngine } from '@peft/testing';
import { expect, it } from 'vitest';
import { lora } from '../lora.js';
import { nearestLora } from './nearest-lora.js';

const encoder = tinyModels()[0]!;
let engine: Engine;
let model: Model;
usePortableEngine((active) => (engine = active));
useModel(
  () => encoder.open(engine),
  (made) => (model = made),
);

const QUERY = 'bert.encoder.layer.0.attention.self.query';
/** An adapter on one site whose update has these singular values. */
function addWith(...values: number[]): void {
  const rank = values.length;
  const adapter = model.addAdapter('a', lora({ rank, alpha: rank, targets: [QUERY] }));
  const unit = (rows: number, columns: number): tf.Tensor =>
    tf.tensor(
      Array.from({ length: rows * columns }, (_, i) =>
        Math.floor(i / columns) === i % columns ? 1 : 0,
      ),
      [rows, columns],
    );
  tf.tidy(() => {
    adapter.parameters.get(`${QUERY}.lora_A.weight`)!.value.assign(unit(rank, 12));
    const b = tf.mul(unit(12, rank), tf.tensor1d(values));
    adapter.parameters.get(`${QUERY}.lora_B.weight`)!.value.assign(b);
  });
}

it('keeps the largest singular values, and says how much of the energy they have', () => {
  addWith(0.3, 0.2, 0.1);
  const told: string[] = [];
  const { adapter, sites, keptShare } = nearestLora(model, 'b', {
    rank: 2,
    onSite: (path) => told.push(path),
  });
  expect(told).toEqual([QUERY]);
  expect(keptShare).toBeCloseTo((0.3 ** 2 + 0.2 ** 2) / (0.3 ** 2 + 0.2 ** 2 + 0.1 ** 2), 6);
  expect(sites).toEqual([
    {
      path: QUERY,
      rank: 2,
      energy: expect.closeTo(0.14, 6) as number,
      keptEnergy: expect.closeTo(0.13, 6) as number,
    },
  ]);
  expect(adapter.spec.parts[0]!.config).toMatchObject({ rank: 2, alpha: 2, bias: 'none' });
  expect(model.activeAdapters).toEqual(['b']);
});

it('takes biases, the head and the sum of several adapters along', () => {
  const options = { rank: 2, targets: ['query'], bias: 'all' } as const;
  moveParameters(model.addAdapter('a', lora(options)), 'a', 0.1);
  moveParameters(
    model.addAdapter('over', lora({ rank: 3, targets: ['query', 'dense'] })),
    'o',
    0.1,
  );
  model.setActiveAdapters('a', 'over');
  const logits = (): Float32Array =>
    tf.tidy(() => model.forward(encoder.batch).logits!.dataSync<'float32'>().slice());
  const before = logits();
  const { adapter } = nearestLora(model, 'b', { rank: 5 });
  logits().forEach((value, i) => expect(value).toBeCloseTo(before[i]!, 5));
  expect(adapter.spec.parts[0]!.config).toMatchObject({ bias: 'all' });
  expect(adapter.unfrozen('classifier.weight')).toBeDefined();
});

it('refuses a rank that is none, and an adapter that changes no matrix', () => {
  expect(() => nearestLora(model, 'b', { rank: 0 })).toThrow(
    expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
  );
  model.addAdapter('a', lora({ rank: 2 })); // its update is zero
  const tensors = tf.memory().numTensors;
  expect(() => nearestLora(model, 'b', { rank: 2 })).toThrow(
    expect.objectContaining({ code: 'PEFT_LORA_NEAREST' }),
  );
  expect(model.activeAdapters).toEqual(['a']);
  expect(tf.memory().numTensors).toBe(tensors);
});
