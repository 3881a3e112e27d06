import * as tf from '@tensorflow/tfjs';
import { llama, bert } from '@peft/models';
import { memorySource, type Engine } from '@peft/ops';
import { seededValues, usePortableEngine } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import type { HeadOptions } from '../description/model-description.js';
import type { Architecture } from './architecture.js';
import { describeModel } from './form/describe-model.js';
import { loadModel } from './load-model.js';
import type { Model } from './model.js';

const SIZES = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  max_position_embeddings: 16,
};
const HEAD: HeadOptions = { kind: 'pooled-linear', outputs: 2 };
/** Two sequences that begin with the same token. */
const BATCH = { inputIds: Int32Array.of(1, 4, 2, 1, 3), offsets: Int32Array.of(0, 3, 5) };

function open<Config>(
  architecture: Architecture<Config>,
  json: Readonly<Record<string, unknown>>,
  engine: Engine,
  more: Readonly<Record<string, readonly number[]>> = {},
): Model {
  const shapes = new Map([
    ...describeModel(architecture, architecture.parseConfig(json)).parameters.map(
      ({ name, shape }) => [name, shape] as const,
    ),
    ...Object.entries(more),
  ]);
  const size = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1);
  return loadModel(
    architecture,
    json,
    {
      names: () => shapes.keys(),
      get(name) {
        const shape = shapes.get(name);
        return shape && memorySource(name, shape, seededValues(name, size(shape), 0.4));
      },
    },
    engine,
    { head: HEAD },
  );
}

describe('the pooled head', () => {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));

  it("reads a decoder's last token, which alone has seen the others", () => {
    const model = open(llama, { model_type: 'llama', ...SIZES }, engine);
    tf.tidy(() => {
      const { pooled, hidden, logits } = model.forward(BATCH);
      const rows = tf.gather(hidden, [2, 4]);
      expect(pooled!.dataSync()).toEqual(rows.dataSync());
      const [first, second] = tf.split(logits!, 2, 0);
      expect(first!.dataSync()).not.toEqual(second!.dataSync());
    });
    model.dispose();
  });

  it("reads an encoder's first token", () => {
    const model = open(bert, { model_type: 'bert', ...SIZES }, engine);
    tf.tidy(() => {
      const { pooled, hidden } = model.forward(BATCH);
      expect(pooled!.dataSync()).toEqual(tf.gather(hidden, [0, 3]).dataSync());
    });
    model.dispose();
  });

  it("takes over the head of transformers' classifier of as many classes", () => {
    const json = { model_type: 'llama', ...SIZES };
    const same = open(llama, json, engine, { 'score.weight': [2, 8] });
    const other = open(llama, json, engine, { 'score.weight': [3, 8] });
    const weight = same.readBaseParameter('head.weight');
    expect(weight.dataSync()).toEqual(Float32Array.from(seededValues('score.weight', 16, 0.4)));
    expect(same.weights.fresh).toEqual(['head.bias']);
    expect(other.weights.fresh).toEqual(['head.weight', 'head.bias']);
    weight.dispose();
    for (const model of [same, other]) model.dispose();
  });
});
