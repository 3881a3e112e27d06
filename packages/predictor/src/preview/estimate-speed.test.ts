import { describeModel } from '@peft/core';
import { llama } from '@peft/models';
import * as tf from '@tensorflow/tfjs';
import { usePortableEngine } from '@peft/testing';
import type { Engine } from '@peft/ops';
import { expect, it } from 'vitest';
import { estimateSpeed } from './estimate-speed.js';

const CONFIG = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
/** Four of attention, two of them half as wide, and three of the gated layer. */
const LAYER = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 128;

let engine: Engine;
usePortableEngine((active) => (engine = active));

it('counts two operations a weight and pass, and measures what the engine does of them', async () => {
  const before = tf.memory().numTensors;
  const how = {
    format: 'f32',
    rows: 8,
    rowsPerMicroBatch: 2,
    isCheckpointed: false,
    isWhole: false,
    kernels: 100,
  } as const;
  const estimateOf = (kind: 'causal-lm' | 'none', changes = {}) =>
    estimateSpeed(describeModel(llama, llama.parseConfig(CONFIG), { kind }), engine, {
      ...how,
      ...changes,
    });
  const { operationsPerToken, operationsPerSecond } = await estimateOf('none');
  expect(operationsPerToken).toBe(2 * 2 * 3 * LAYER);
  expect((await estimateOf('causal-lm')).operationsPerToken).toBe(4 * (3 * LAYER + 96 * 64));
  expect(
    (await estimateOf('none', { isCheckpointed: true, isWhole: true })).operationsPerToken,
  ).toBe(2 * operationsPerToken);
  // no machine does a product of 8 × 64 × 64 in no time, nor takes a second for it
  expect(operationsPerSecond).toBeGreaterThan(4 * 8 * 64 * 64);
  expect(operationsPerSecond).toBeLessThan(1e14);
  // each of its kernels takes the same, some time and no second
  const { secondsPerMicroBatch, rowsPerMicroBatch } = await estimateOf('none');
  expect(rowsPerMicroBatch).toBe(2);
  expect(secondsPerMicroBatch).toBeGreaterThan(100 * 1e-7);
  expect(secondsPerMicroBatch).toBeLessThan(100);
  expect((await estimateOf('none', { kernels: 300 })).secondsPerMicroBatch).toBeCloseTo(
    3 * secondsPerMicroBatch,
    12,
  );
  expect(tf.memory().numTensors).toBe(before);
});
