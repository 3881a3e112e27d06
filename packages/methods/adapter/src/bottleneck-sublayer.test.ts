import type { Adapter, Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, toBeAllclose, usePortableEngine } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { adapter } from './adapter.js';
import { NAMED_ADAPTERS } from './named-configs.js';
import { adapterPlus, houlsby, parallelAdapter } from './named-adapters.js';
import { kroneckerSum } from './phm-projection.js';

expect.extend({ toBeAllclose });

const move = (on: Adapter, seed: number): Adapter =>
  moveParameters(on, seed, 0.3, ({ origin }) => origin === 'new');

describe('bottlenecks on residual branches', () => {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));
  const logits = (model: Model) =>
    tf.tidy(() => model.forward(tinyModels()[0]!.batch).logits!.dataSync().slice());

  it("stack in the order in which they are made active: the first gets the branch's output first", () => {
    const model = tinyModels()[0]!.open(engine);
    move(model.addAdapter('a', adapter({ reductionFactor: 3, originalLnBefore: false })), 1);
    move(model.addAdapter('b', adapter({ reductionFactor: 3, originalLnBefore: false })), 2);
    model.setActiveAdapters('a', 'b');
    const ab = logits(model);
    model.setActiveAdapters('b', 'a');
    expect(logits(model)).not.toBeAllclose(ab, { atol: 1e-4 });
    // Where the first is silent, only the second shows.
    for (const { value, origin } of model.adapter('a').parameters.values())
      if (origin === 'new') tf.tidy(() => value.assign(tf.zerosLike(value)));
    model.setActiveAdapters('a', 'b');
    const stacked = logits(model);
    model.setActiveAdapters('b');
    expect(logits(model)).toBeAllclose(stacked, { atol: 1e-6 });
    model.dispose();
  });

  it('ends a branch without residual and norm where it is told to, also as the last of a stack', () => {
    const model = tinyModels()[0]!.open(engine);
    move(model.addAdapter('a', adapter({ reductionFactor: 3 })), 1);
    move(model.addAdapter('bare', adapter({ reductionFactor: 3, originalLnAfter: false })), 2);
    const alone = logits(model);
    model.setActiveAdapters('a', 'bare');
    const last = logits(model);
    model.setActiveAdapters('bare', 'a');
    const first = logits(model);
    expect(last).not.toBeAllclose(alone, { atol: 1e-4 });
    expect(first).not.toBeAllclose(last, { atol: 1e-4 });
    model.dispose();
  });

  it("by stochastic depth leave out whole sequences in training, by the step's random numbers", () => {
    const model = tinyModels()[2]!.open(engine);
    const { batch } = tinyModels()[2]!;
    const run = (step: number) =>
      tf.tidy(() =>
        model.forward(batch, { training: true, randomParts: [step] }).hidden.arraySync(),
      );
    const bare = run(0);
    move(model.addAdapter('a', parallelAdapter({ reductionFactor: 3, stochasticDepth: 0.6 })), 3);
    const skipped = [0, 1, 2, 3].map((step) => {
      const states = run(step);
      return [0, 1, 2].filter((b) =>
        states
          .slice(batch.offsets[b], batch.offsets[b + 1])
          .every((row, t) =>
            row.every((value, d) => Math.abs(value - bare[batch.offsets[b]! + t]![d]!) < 1e-6),
          ),
      );
    });
    expect(skipped.flat().length).toBeGreaterThan(0);
    expect(new Set(skipped.map(String)).size).toBeGreaterThan(1);
    expect(run(2)).toEqual(run(2));
    model.dispose();
  });

  it('are as wide as adapter-hub has them, at least 1', () => {
    const model = tinyModels()[0]!.open(engine);
    const widths = (spec: ReturnType<typeof adapter>) => {
      const made = model.addAdapter('a', spec);
      const found = [...made.parameters.values()]
        .filter(({ name }) => name.endsWith('adapter_down.0.weight'))
        .map(({ shape }) => shape[0]);
      model.deleteAdapter('a');
      return found;
    };
    expect(widths(adapter({ reductionFactor: 5 }))).toEqual([2, 2]); // ⌊12/5⌋
    expect(widths(adapterPlus())).toEqual([1, 1]); // 12/96
    expect(widths(houlsby({ reductionFactor: { '1': 3, default: 6 } }))).toEqual([2, 2, 4, 4]);
    model.dispose();
  });

  it('say which block a map of reduction factors leaves out', () => {
    const model = tinyModels()[0]!.open(engine);
    expect(() => model.addAdapter('a', adapter({ reductionFactor: { '0': 3 } }))).toThrow(
      'adapter: reductionFactor says nothing about block 1, got {"0":3}.\n  hint: add a \'default\'',
    );
    expect(model.adapterNames).toEqual([]);
    model.dispose();
  });

  it('refuse widths that a Kronecker product cannot make, and sites that are no branch', () => {
    const model = tinyModels()[0]!.open(engine);
    expect(() =>
      model.addAdapter('a', adapter({ phmLayer: true, reductionFactor: 3, phmDim: 5 })),
    ).toThrow('adapter: phmDim 5 does not divide the input width 12 of the down-projection.');
    expect(() => model.addAdapter('a', adapter({ targets: ['LayerNorm'] }))).toThrow(
      /LayerNorm is no residual branch/,
    );
    model.dispose();
  });

  it('of compacters are sums of Kronecker products', () => {
    tf.tidy(() => {
      const a = tf.tensor3d([
        [
          [1, 2],
          [3, 4],
        ],
        [
          [0, 1],
          [0, 0],
        ],
      ]);
      const w = tf.tensor3d([[[1, 0, 1]], [[0, 1, 0]]]); // [2, 1, 3]
      // By hand: A₀ ⊗ W₀ + A₁ ⊗ W₁.
      expect(kroneckerSum(a, w, [2, 6])).toBeAllclose([1, 0, 1, 2, 1, 2, 3, 0, 3, 4, 0, 4]);
    });
  });

  it('refuse an invertible adapter whose place is taken out, instead of leaving it out', () => {
    const decoder = tinyModels()
      .find(({ name }) => name === 'decoder')!
      .open(engine);
    const invertible = { ...NAMED_ADAPTERS['seq_bn_inv'], reductionFactor: 3 };
    for (const common of [{ modulesToSave: ['wte', 'embed_tokens'] }, { layersToTransform: [0] }])
      expect(() => decoder.addAdapter('a', adapter({ ...invertible, ...common }))).toThrow(
        /behind which an invertible adapter stands, trains whole or is left out/,
      );
    decoder.dispose();
  });
});
