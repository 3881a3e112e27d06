/** What PSOFT's files must say, and that its signs count. */
import * as tf from '@tensorflow/tfjs';
import { moveParameters, tinyModels, usePortableEngine } from '@peft/testing';
import type { Engine } from '@peft/ops';
import { expect, test } from 'vitest';
import { psoft } from './psoft.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

test("PEFT's file, which leaves the signs to LAPACK, is refused by name", () => {
  const json = { peft_type: 'PSOFT', r: 2, psoft_alpha: 2, psoft_svd: 'full' };
  expect(() => psoft.fromPeftConfig!(json)).toThrow(
    expect.objectContaining({
      code: 'PEFT_CONFIG_UNSUPPORTED',
      message: expect.stringContaining('does not say the signs of the singular vectors') as string,
    }),
  );
  const signs = { 'encoder.query': '+-' };
  expect(psoft.fromPeftConfig!({ ...json, psoft_signs: signs })).toMatchObject({ rank: 2, signs });
});

test('a singular value decomposition other than the full one is refused', () => {
  expect(() => psoft.fromPeftConfig!({ psoft_signs: {}, psoft_svd: 'lowrank' })).toThrow(
    'psoft: adapter_config.json sets psoft_svd to "lowrank", which is not supported.',
  );
});

test('one sign changes the result, all of them together do not', () => {
  const decoder = tinyModels()[2]!;
  const path = 'model.layers.1.self_attn.v_proj';
  const results = ['++', '-+', '--'].map((own) => {
    const signs = { [path]: own };
    const model = decoder.open(engine);
    moveParameters(
      model.addAdapter('a', psoft({ rank: 2, targets: ['layers.1.self_attn.v_proj'], signs })),
      1,
      0.3,
    );
    // the frozen directions stay where the signs put them
    const values = tf.tidy(() =>
      model.forward(decoder.batch).logits!.dataSync<'float32'>().slice(),
    );
    model.dispose();
    return values;
  });
  const distance = (a: Float32Array, b: Float32Array) =>
    Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
  expect(distance(results[0]!, results[1]!)).toBeGreaterThan(1e-4);
  expect(distance(results[0]!, results[2]!)).toBeLessThan(1e-5);
});
