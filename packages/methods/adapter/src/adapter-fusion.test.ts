import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAdapter, saveAdapter, type AnyMethod, type Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import { crossEntropy } from '@peft/ops';
import {
  moveParameters,
  tinyModels,
  toBeAllclose,
  useModel,
  usePortableEngine,
} from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { adapter } from './adapter.js';
import { adapterFusion } from './adapter-fusion.js';

expect.extend({ toBeAllclose });

const { open, batch, labels } = tinyModels()[0]!;
const methods = [adapter, adapterFusion] as unknown as readonly AnyMethod[];

describe('AdapterFusion', () => {
  let engine: Engine;
  let model: Model;
  usePortableEngine((active) => (engine = active));
  useModel(
    () => open(engine),
    (made) => {
      model = made;
      for (const [i, name] of ['first', 'second'].entries())
        move(name, adapter({ reductionFactor: 3 }), i);
    },
  );

  const move = (name: string, spec: ReturnType<typeof adapter>, seed: number) =>
    moveParameters(model.addAdapter(name, spec), seed, 0.3, ({ origin }) => origin === 'new');
  const logits = () => tf.tidy(() => model.forward(batch).logits!.dataSync().slice());
  const fuse = (names = ['first', 'second']) =>
    model.addAdapter('fusion', adapterFusion({ adapters: names }));

  it('of an adapter with itself is that adapter, at the start', () => {
    model.setActiveAdapters('first');
    const alone = logits();
    fuse(['first', 'first']);
    // W_v starts as the identity but for 10⁻⁶ beside the diagonal.
    expect(logits()).toBeAllclose(alone, { atol: 1e-4 });
  });

  it('trains its own matrices, and leaves the adapters alone', () => {
    const fusion = fuse();
    expect(
      model
        .trainables()
        .every(({ name, origin }) => origin === 'unfrozen' || name.includes('.fusion.')),
    ).toBe(true);
    const trained = model.trainables().filter(({ name }) => !name.endsWith('key.bias')); // the softmax ignores a key's bias
    const { grads, value } = tf.tidy(() =>
      tf.variableGrads(
        () => tf.mean(crossEntropy(model.forward(batch).logits as Tensor2D, labels)).asScalar(),
        trained.map((parameter) => parameter.value),
      ),
    );
    for (const { name, value: variable } of trained)
      expect(
        tf.tidy(() => tf.norm(grads[variable.name]!).dataSync()[0]),
        name,
      ).toBeGreaterThan(1e-7);
    expect(fusion.parameters.size).toBe(2 * 5 + 2);
    tf.dispose([grads, value]);
  });

  it('holds its value matrices near the identity', () => {
    const fusion = fuse();
    const loss = () =>
      tf.tidy(() => fusion.extraLosses.reduce((sum, term) => sum + term().dataSync()[0]!, 0));
    expect(loss()).toBeCloseTo(0, 6);
    const { value } = [...fusion.parameters.values()].find(({ name }) =>
      name.endsWith('fusion.value.weight'),
    )!;
    tf.tidy(() => value.assign(tf.zerosLike(value)));
    expect(loss()).toBeCloseTo(0.01 * 12, 6); // 0.01·‖I‖² of width 12
  });

  it('is the same from its files, beside those of its adapters', async () => {
    fuse();
    const before = logits();
    const folder = mkdtempSync(join(tmpdir(), 'peft-fusion-'));
    const other = open(engine);
    try {
      for (const name of ['first', 'second', 'fusion'])
        await saveAdapter(model, name, join(folder, name), { allowUntrained: true });
      expect(readdirSync(join(folder, 'fusion')).sort()).toEqual([
        'README.md',
        'adapter_fusion_config.json',
        'head_config.json',
        'model_adapter_fusion.safetensors',
        'model_head.safetensors',
      ]);
      for (const name of ['first', 'second'])
        await loadAdapter(other, join(folder, name), { methods });
      const { adapter: loaded, warnings } = await loadAdapter(other, join(folder, 'fusion'), {
        name: 'fusion',
        methods,
      });
      expect(warnings).toEqual([]);
      expect(loaded.spec.parts[0]!.config).toMatchObject({
        adapters: ['first', 'second'],
        valueInitialized: true,
      });
      expect(tf.tidy(() => other.forward(batch).logits!.dataSync().slice())).toEqual(before);
    } finally {
      other.dispose();
      rmSync(folder, { recursive: true });
    }
  });

  it('names the adapter that the model lacks', () => {
    fuse(['first', 'third']);
    expect(logits).toThrow(/there is no adapter "third"/);
  });

  it('refuses fewer than two adapters', () => {
    expect(() => adapterFusion({ adapters: ['first'] })).toThrow(
      'adapter-fusion: adapters must be the names of at least two adapters, got ["first"].',
    );
  });
});
