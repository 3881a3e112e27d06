/** Layer replication: blocks run more than once on the weights that are there. */
import * as tf from '@tensorflow/tfjs';
import { KeyValueCache, type Model } from '@peft/core';
import { bert, t5 } from '@peft/models';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, useModel, usePortableEngine } from '@peft/testing';
import { describe, expect, it, test } from 'vitest';
import { lora } from './lora.js';

const decoder = tinyModels()[2]!;
const replicated = (layerReplication: readonly (readonly [number, number])[]) =>
  lora({ rank: 2, targets: ['q_proj', 'down_proj'], layerReplication });

describe('layer replication', () => {
  let engine: Engine;
  let model: Model;
  usePortableEngine((made) => (engine = made));
  useModel(
    () => decoder.open(engine),
    (made) => (model = made),
  );
  const logits = (batch = decoder.batch): Float32Array =>
    tf.tidy(() => model.forward(batch).logits!.dataSync<'float32'>().slice());

  it('is the model itself with every block once, and another with one more', () => {
    const base = logits();
    model.addAdapter('same', replicated([[0, 2]]));
    expect(logits()).toEqual(base);
    model.deleteAdapter('same');
    model.addAdapter(
      'longer',
      replicated([
        [0, 2],
        [1, 2],
      ]),
    );
    expect(logits()).not.toBeAllclose(base, { atol: 1e-3 });
    expect(model.parameterCounts().total).toBe(
      model.parameterCounts().trainable + decoderParameters(),
    );
    model.deleteAdapter('longer');
    expect(logits()).toEqual(base);
  });

  const decoderParameters = (): number =>
    model.withAdaptersDisabled(() => model.parameterCounts().total);

  it('gives each place an adapter of its own', () => {
    const { parameters } = model.addAdapter(
      'a',
      replicated([
        [0, 2],
        [0, 1],
      ]),
    );
    expect([...parameters.keys()].filter((name) => /q_proj.lora_A/.test(name))).toEqual([
      'model.layers.0.self_attn.q_proj.lora_A.weight',
      'model.layers.1.self_attn.q_proj.lora_A.weight',
      'model.layers.2.self_attn.q_proj.lora_A.weight',
    ]);
    const before = logits();
    tf.tidy(() => {
      const last = parameters.get('model.layers.2.self_attn.q_proj.lora_B.weight')!;
      last.value.assign(tf.onesLike(last.value));
    });
    expect(logits()).not.toEqual(before);
  });

  it('goes on from a cache of keys and values, which each place has of its own', () => {
    moveParameters(
      model.addAdapter(
        'a',
        replicated([
          [0, 2],
          [0, 2],
        ]),
      ),
      3,
      0.3,
    );
    const inputIds = Int32Array.of(6, 13, 2, 9, 5);
    const whole = logits({ inputIds, offsets: Int32Array.of(0, 5) });
    const cache = new KeyValueCache();
    const parts = [inputIds.slice(0, 3), inputIds.slice(3)].flatMap((part) =>
      tf.tidy(() => [
        ...model
          .forward({ inputIds: part, offsets: Int32Array.of(0, part.length) }, { cache })
          .logits!.dataSync<'float32'>(),
      ]),
    );
    cache.dispose();
    expect(Float32Array.from(parts)).toBeAllclose(whole, { atol: 1e-5 });
  });

  it('cannot be merged, for blocks share their weights', () => {
    model.addAdapter(
      'a',
      replicated([
        [0, 2],
        [1, 2],
      ]),
    );
    expect(() => model.mergeAdapters()).toThrow(
      expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
    );
    expect(() => model.checkMergeable()).toThrow(
      expect.objectContaining({ code: 'PEFT_MERGE_INEXACT' }),
    );
  });

  it.each([
    ['a block that there is not', [[0, 3]], 'there are no blocks 0 to 2, it has 2.'],
    ['an empty range', [[1, 1]], 'layerReplication must be a list of ranges'],
    ['no range', [], 'layerReplication must be a list of ranges'],
  ] as const)('refuses %s', (_, ranges, message) => {
    const before = model.description;
    expect(() => model.addAdapter('a', replicated(ranges as never))).toThrow(message);
    expect(model.description).toBe(before);
  });

  it('refuses another form while adapters stand on the blocks, and takes one of the same', () => {
    model.addAdapter('plain', lora({ rank: 2 }));
    expect(() =>
      model.addAdapter(
        'a',
        replicated([
          [0, 2],
          [1, 2],
        ]),
      ),
    ).toThrow('adapters stand on the blocks already (plain)');
    model.deleteAdapter('plain');
    model.addAdapter(
      'a',
      replicated([
        [0, 2],
        [1, 2],
      ]),
    );
    model.addAdapter(
      'b',
      replicated([
        [0, 2],
        [1, 2],
      ]),
    );
    expect(() => model.addAdapter('c', replicated([[0, 2]]))).toThrow('has [[0,2],[1,2]] already');
  });
});

test('families say which of them offer their blocks', () => {
  expect(bert.repeatBlocks).toBeDefined();
  expect(t5.repeatBlocks).toBeUndefined();
});
