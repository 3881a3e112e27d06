/**
 * The text model of a checkpoint for texts and images, made from that of a text model by renaming.
 */
import { join } from 'node:path';
import { describeModel, loadModel, type WeightStore } from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { gemma3 } from '@peft/models';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPortableEngine } from '@peft/portable';
import { FIXTURES, readConfigJson } from './fixtures.js';

const text = readConfigJson('models/gemma3');
const whole = { model_type: 'gemma3', text_config: text, vision_config: { hidden_size: 8 } };
const batch = { inputIds: Int32Array.of(5, 9, 11, 4, 8), offsets: Int32Array.of(0, 3, 5) };

let engine: Awaited<ReturnType<typeof createPortableEngine>>;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

function logits(config: Record<string, unknown>, rename: (name: string) => string): number[] {
  const checkpoint = openCheckpoint(join(FIXTURES, 'models/gemma3'));
  const own = new Map(checkpoint.names().map((name) => [rename(name), name]));
  const store: WeightStore = {
    names: () => own.keys(),
    get: (name) => (own.has(name) ? checkpoint.get(own.get(name)!) : undefined),
  };
  const model = loadModel(gemma3, config, store, engine, { head: { kind: 'causal-lm' } });
  const values = Array.from(tf.tidy(() => model.forward(batch).logits!.dataSync<'float32'>()));
  model.dispose();
  checkpoint.close();
  return values;
}

it('computes the same from older and newer names of the tensors', () => {
  const expected = logits(text, (name) => name);
  expect(expected).toHaveLength(5 * (text['vocab_size'] as number));
  expect(logits(whole, (name) => `language_model.${name}`)).toEqual(expected);
  expect(logits(whole, (name) => name.replace(/^model\./, 'model.language_model.'))).toEqual(
    expected,
  );
});

it('has the paths of the text model, and says so when there is no text_config', () => {
  const description = describeModel(gemma3, gemma3.parseConfig(whole), {
    kind: 'pooled-linear',
    outputs: 3,
  });
  expect(description.modelType).toBe('gemma3');
  expect(description.sites.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['layers.0.self_attn.q_proj', 'head']),
  );
  expect(() => gemma3.parseConfig({ model_type: 'gemma3' })).toThrow(
    /text_config must be an object/,
  );
});
