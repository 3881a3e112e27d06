import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import { seededTensor, tinyModels, useModel, usePortableEngine } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { combineLora, type CombineLoraOptions } from './combine-lora.js';
import { lora, type LoraConfig } from '../index.js';

const decoder = tinyModels()[2]!;

describe('combineLora', () => {
  let engine: Engine;
  let model: Model;
  usePortableEngine((active) => (engine = active));
  useModel(
    () => decoder.open(engine),
    (made) => (model = made),
  );

  const add = (name: string, options: Partial<LoraConfig> & { modulesToSave?: string[] } = {}) => {
    for (const parameter of model
      .addAdapter(name, lora({ rank: 2, alpha: 3, ...options }))
      .parameters.values()) {
      const noise = seededTensor(name + parameter.name, parameter.shape, 0.3);
      parameter.value.assign(noise);
      noise.dispose();
    }
  };
  const logits = () =>
    tf.tidy(() => model.forward(decoder.batch).logits!.dataSync<'float32'>().slice());
  const combine = (names: string[], options: CombineLoraOptions) =>
    combineLora(model, names, 'sum', options);

  it.each(['cat', 'svd'] as const)('by %s equals both adapters at once', (combination) => {
    add('a');
    add('b', { rank: 3 });
    model.setActiveAdapters('a', 'b');
    const both = logits();
    combine(['a', 'b'], {
      weights: [1, 1],
      combination,
      rank: combination === 'svd' ? 5 : undefined,
    });
    expect(logits()).toBeAllclose(both, { atol: 1e-4, rtol: 1e-4 });
  });

  it('takes a table of an adapter along as it is there, frozen', () => {
    const table =
      model.description.sites.find(({ kind }) => kind === 'embedding')!.path + '.weight';
    model.addAdapter('a', lora({ rank: 2 }), { alsoReplace: [table] });
    const { parameters } = combine(['a'], { weights: [1], combination: 'cat' });
    expect(parameters.get(table)!.trainable).toBe(false);
  });

  it('subtracts with a negative weight: an adapter minus itself is nothing', () => {
    const bare = logits();
    add('a');
    combine(['a', 'a'], { weights: [0.5, -0.5], combination: 'cat' });
    expect(logits()).toBeAllclose(bare, { atol: 1e-5, rtol: 1e-5 });
  });

  it('drops the same elements for the same seed', () => {
    add('a');
    combine(['a'], { weights: [1], combination: 'dare_linear', density: 0.5, seed: 1 });
    const first = logits();
    model.deleteAdapter('sum');
    combine(['a'], { weights: [1], combination: 'dare_linear', density: 0.5, seed: 1 });
    expect(logits()).toEqual(first);
    model.deleteAdapter('sum');
    combine(['a'], { weights: [1], combination: 'dare_linear', density: 0.5, seed: 2 });
    expect(logits()).not.toEqual(first);
  });

  it('refuses what cannot be combined, and leaves nothing behind', () => {
    add('a');
    add('b', { rank: 3 });
    add('dora', { dora: true });
    add('head', { modulesToSave: ['model.norm'] });
    add('head2', { modulesToSave: ['model.norm'] });
    expect(() => combine(['a'], { weights: [1, 2] })).toThrow(
      'a combination of 1 adapters needs as many finite weights, got [1, 2]',
    );
    expect(() => combine(['a', 'b'], { weights: [1, 1], combination: 'linear' })).toThrow(
      '"linear" needs equal ranks, got 2, 3.',
    );
    expect(() => combine(['a', 'dora'], { weights: [1, 1] })).toThrow(
      'adapter "dora" cannot be combined: it has lora at',
    );
    expect(() => combine(['head', 'head2'], { weights: [1, 1] })).toThrow(
      'model.norm.weight was trained by more than one of the adapters.',
    );
    expect(() => combine(['a'], { weights: [1], combination: 'ties' })).toThrow(
      'lora: density must be in (0, 1], got NaN.',
    );
    expect(() => combine(['a'], { weights: [1], combination: 'lineal' as never })).toThrow(
      'Did you mean "linear"',
    );
    expect(model.adapterNames).toEqual(['a', 'b', 'dora', 'head', 'head2']);
    combine(['a', 'head'], { weights: [1, 1], combination: 'linear' });
    expect([...model.adapter('sum').parameters.keys()]).toContain('model.norm.weight');
  });
});
