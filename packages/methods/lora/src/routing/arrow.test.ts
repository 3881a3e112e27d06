/** Arrow chooses among adapters token by token. */
import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import {
  moveParameters,
  seededValues,
  tinyModels,
  useModel,
  usePortableEngine,
} from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { lora } from '../lora.js';
import { prototypeOf } from './prototype.js';
import { routeLora } from './route-lora.js';

const decoder = tinyModels()[2]!;

describe('Arrow', () => {
  let engine: Engine;
  let model: Model;
  usePortableEngine((made) => (engine = made));
  useModel(
    () => decoder.open(engine),
    (made) => (model = made),
  );
  const logits = (options?: Parameters<Model['forward']>[1]): Float32Array =>
    tf.tidy(() => model.forward(decoder.batch, options).logits!.dataSync<'float32'>().slice());
  const add = (name: string, seed: number, options: Parameters<typeof lora>[0] = {}) =>
    moveParameters(
      model.addAdapter(name, lora({ rank: 2, targets: ['q_proj', 'down_proj'], ...options })),
      seed,
      0.3,
    );

  it('has the first right singular vector of B·A as prototype', () => {
    tf.tidy(() => {
      const a = tf.tensor2d(seededValues('a', 3 * 7, 1), [3, 7]);
      const b = tf.tensor2d(seededValues('b', 5 * 3, 1), [5, 3]);
      const v = prototypeOf(a, b);
      const update = tf.matMul(b, a);
      // an eigenvector of (BA)ᵀBA: made longer by its largest eigenvalue, the greatest of all stretches
      const stretched = tf.matMul(update, tf.matMul(update, tf.reshape(v, [7, 1])), true, false);
      const eigenvalue = tf.norm(stretched).dataSync()[0]!;
      expect(tf.reshape(stretched, [7])).toBeAllclose(tf.mul(v, eigenvalue), { atol: 1e-4 });
      const most = Math.max(
        ...Array.from({ length: 200 }, (_, n) => {
          const x = tf.tensor2d(seededValues(`x${n}`, 7, 1), [7, 1]);
          return tf.div(tf.norm(tf.matMul(update, x)), tf.norm(x)).dataSync()[0]!;
        }),
      );
      expect(Math.sqrt(eigenvalue)).toBeGreaterThanOrEqual(most);
      expect(prototypeOf(a, tf.zeros([5, 3]))).toBeAllclose(tf.zeros([7]), { atol: 0 });
    });
  });

  it('is an adapter itself where there is no other to choose', async () => {
    add('a', 1, { alpha: 5 });
    const alone = logits();
    await routeLora(model, 'routed', { adapters: ['a'] });
    expect(model.activeAdapters).toEqual(['routed']);
    expect(logits()).toBeAllclose(alone, { atol: 1e-5 });
  });

  it('gives each token the one of its own that fits best, whatever else is in the batch', async () => {
    add('a', 1);
    add('b', 2);
    const [a, b] = ['a', 'b'].map((name) => (model.setActiveAdapters(name), logits()));
    await routeLora(model, 'routed', { adapters: ['a', 'b'], topK: 1 });
    const routed = logits();
    expect(routed).not.toBeAllclose(a!, { atol: 1e-3 });
    expect(routed).not.toBeAllclose(b!, { atol: 1e-3 });
    const count = decoder.batch.offsets.length - 1;
    const mixed = Array.from({ length: count }, (_, n) => (n === 0 ? '__base__' : 'routed'));
    const width = routed.length / decoder.batch.inputIds.length;
    const first = decoder.batch.offsets[1]! * width;
    expect(logits({ assignment: mixed }).slice(first)).toBeAllclose(routed.slice(first), {
      atol: 1e-5,
    });
  });

  it('lets the shares come near each other as the temperature rises', async () => {
    add('a', 1);
    add('b', 2);
    const atTemperature = async (temperature: number): Promise<Float32Array> => {
      await routeLora(model, 'routed', { adapters: ['a', 'b'], temperature });
      const made = logits();
      model.deleteAdapter('routed');
      return made;
    };
    const [hot, hotter] = [await atTemperature(1e4), await atTemperature(1e6)];
    expect(hot).toBeAllclose(hotter, { atol: 1e-3 });
    expect(await atTemperature(0.05)).not.toBeAllclose(hot, { atol: 1e-3 });
  });

  it('leaves nothing of a task that is all general knowledge', async () => {
    const base = logits();
    add('a', 1);
    add('b', 2);
    await routeLora(model, 'routed', { adapters: ['a'], general: ['a'] });
    expect(logits()).toBeAllclose(base, { atol: 1e-6 });
    model.deleteAdapter('routed');
    await routeLora(model, 'routed', { adapters: ['a'], general: ['b'] });
    expect(logits()).not.toBeAllclose(base, { atol: 1e-3 });
  });

  it('has nothing to train, to merge or to save', async () => {
    add('a', 1);
    add('b', 2);
    await routeLora(model, 'routed', { adapters: ['a', 'b'] });
    expect(model.trainables()).toEqual([]);
    expect(() => model.mergeAdapters()).toThrow(
      expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
    );
  });

  it.each([
    ['other layers', { targets: ['q_proj'] }, 'adapters "a" and "b" stand on different layers'],
    ['another rank', { rank: 3 }, 'need one rank to be chosen among, got 2, 3'],
    ['DoRA', { dora: true }, 'adapter "b" cannot be chosen token by token'],
    ['whole modules', { modulesToSave: ['lm_head'] }, 'adapter "b" cannot be chosen'],
  ] as const)(
    'refuses adapters with %s, and leaves the model as it was',
    async (_, options, message) => {
      add('a', 1);
      add('b', 2, options as never);
      await expect(routeLora(model, 'routed', { adapters: ['a', 'b'] })).rejects.toThrow(message);
      expect(model.adapterNames).toEqual(['a', 'b']);
    },
  );

  it('refuses more adapters for a token than there are, and an unknown one', async () => {
    add('a', 1);
    await expect(routeLora(model, 'r', { adapters: ['a'], topK: 2 })).rejects.toThrow(
      'topK is 2, and there are 1 adapters to choose from.',
    );
    await expect(routeLora(model, 'r', { adapters: ['a', 'c'] })).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_UNKNOWN',
    });
    await expect(routeLora(model, 'r', { adapters: [] })).rejects.toThrow('must be lists of names');
  });
});
