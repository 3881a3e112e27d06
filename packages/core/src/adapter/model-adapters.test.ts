import * as tf from '@tensorflow/tfjs';
import { bitfit } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import type { Engine } from '@peft/ops';
import { moveParameters, tinyModels, useModel, usePortableEngine } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { zeros } from '../description/initializers.js';
import { combineMethods, definePeftMethod } from '../method/define-peft-method.js';
import type { MethodSpec } from '../method/peft-method.js';
import type { Model } from '../model/model.js';
import { attachAdapter } from './attach-adapter.js';

const encoder = tinyModels()[0]!;

describe('adapters on a model', () => {
  let engine: Engine;
  let model: Model;
  usePortableEngine((active) => (engine = active));
  useModel(
    () => encoder.open(engine),
    (made) => (model = made),
  );

  const logits = () =>
    tf.tidy(() => model.forward(encoder.batch).logits!.dataSync<'float32'>().slice());
  const add = (name: string, spec: MethodSpec) =>
    moveParameters(model.addAdapter(name, spec), name, 0.2);

  it('stack: two LoRA at once add their updates, in any order', () => {
    const bare = logits();
    add('a', lora({ rank: 2, targets: ['classifier'], modulesToSave: [] }));
    const a = logits();
    add('b', lora({ rank: 2, targets: ['classifier'], modulesToSave: [] }));
    const b = logits();
    model.setActiveAdapters('a', 'b');
    const both = logits();
    expect(both).toBeAllclose(
      bare.map((value, i) => a[i]! + b[i]! - value),
      { atol: 1e-5 },
    );
    model.setActiveAdapters('b', 'a');
    expect(logits()).toBeAllclose(both, { atol: 1e-5 });
    model.mergeAdapters();
    expect(logits()).toBeAllclose(both, { atol: 1e-4 });
  });

  it('are folded into the base for good, and others go on top', () => {
    add('a', combineMethods('a', ia3(), bitfit()));
    const trained = logits();
    const { warnings, deviation } = model.mergeAndUnload();
    expect(warnings).toEqual([]);
    expect(deviation!.relative).toBeLessThan(1e-4);
    expect(model.adapterNames).toEqual([]);
    expect(logits()).toBeAllclose(trained, { atol: 1e-4, rtol: 1e-4 });
    const folded = logits();
    add('b', lora({ rank: 2 }));
    expect(logits()).not.toEqual(folded);
    expect(model.withAdaptersDisabled(() => logits())).toEqual(folded);
    model.mergeAndUnload();
    expect(model.adapterNames).toEqual([]);
  });

  it('change their strength: half and twice again is as before, zero is nothing', () => {
    const bare = logits();
    add('a', lora({ rank: 2, modulesToSave: [] }));
    const full = logits();
    model.rescaleAdapter('a', 0.5);
    expect(logits()).not.toEqual(full);
    model.rescaleAdapter('a', 2);
    expect(logits()).toEqual(full);
    model.rescaleAdapter('a', 0);
    expect(logits()).toBeAllclose(bare, { atol: 1e-6 });
    add('b', ia3());
    expect(() => model.rescaleAdapter('b', 2)).toThrow('adapter "b" has no strength to multiply.');
    expect(() => model.rescaleAdapter('a', Number.NaN)).toThrow(
      'must be multiplied by a finite number, got NaN.',
    );
  });

  it('are listed', () => {
    add('a', lora({ rank: 2 }));
    add('b', combineMethods('ia3_bias', ia3(), bitfit()));
    model.mergeAdapters('b');
    expect(model.adapterStatus()).toEqual([
      {
        name: 'a',
        methods: ['lora'],
        isActive: false,
        isMerged: false,
        isTrainable: true,
        sites: 4,
        parameters: 192,
        trainableParameters: 231,
      },
      {
        name: 'b',
        methods: ['ia3', 'bitfit'],
        isActive: true,
        isMerged: true,
        isTrainable: true,
        sites: 8,
        parameters: 112,
        trainableParameters: model.adapterStatus()[1]!.trainableParameters,
      },
    ]);
  });

  it('cannot be added, changed or deleted while one is merged', () => {
    add('a', lora());
    model.mergeAdapters();
    for (const action of [
      () => model.addAdapter('b', ia3()),
      () => model.setActiveAdapters(),
      () => model.deleteAdapter('a'),
      () => model.mergeAdapters(),
    ])
      expect(action).toThrow(expect.objectContaining({ code: 'PEFT_ADAPTER_MERGED' }));
  });

  it.each(['', 'a b', '../up', '__base__', '.x'])('are not called %j', (name) => {
    expect(() => model.addAdapter(name, lora())).toThrow(
      expect.objectContaining({ code: 'PEFT_ADAPTER_NAME' }),
    );
  });

  it('leave nothing behind when one of several methods fails', () => {
    const inner = tf.memory().numTensors;
    expect(() =>
      model.addAdapter('a', combineMethods('two', lora(), lora({ targets: ['qery'] }))),
    ).toThrow('Did you mean "query"');
    expect(() => model.addAdapter('a', combineMethods('two', lora(), lora()))).toThrow(
      expect.objectContaining({ code: 'PEFT_PARAMETER_TWICE' }),
    );
    expect(model.adapterNames).toEqual([]);
    expect(tf.memory().numTensors).toBe(inner);
  });
});

describe('a spec', () => {
  it('takes an undefined option as left out', () => {
    expect(lora({ rank: 4, targets: undefined }).parts[0]!.common).toEqual(
      lora({ rank: 4 }).parts[0]!.common,
    );
  });

  it('of no method is refused', () => {
    expect(() => combineMethods('none')).toThrow(
      expect.objectContaining({ code: 'PEFT_METHOD_EMPTY' }),
    );
  });
});

declare module '@peft/core' {
  interface PeftConfigs {
    'test-gate': { readonly size: number };
  }
}

describe('definePeftMethod', () => {
  it('makes a function that carries the definition', () => {
    const gate = definePeftMethod({
      name: 'test-gate',
      parseConfig: ({ size = 1 }) => ({ size }),
      defaultTargets: () => ({ targets: { roles: ['norm.attention'] } }),
      attach: {
        norm(site, { size }, context) {
          const parameter = context.param('gate', [size], zeros);
          return { forward: (x, base) => tf.add(base(x), tf.sum(parameter.value)) };
        },
      },
    });
    expect([gate.name, typeof gate.attach.norm]).toEqual(['test-gate', 'function']);
    expect(gate({ size: 3 }).parts[0]!.config).toEqual({ size: 3 });
    expect(() =>
      attachAdapter(
        'a',
        gate(),
        {
          modelType: 'none',
          head: { kind: 'none' },
          hiddenSize: 1,
          vocabularySize: 1,
          layers: { encoder: 0, decoder: 0 },
          parameters: [],
          sites: [],
          headModules: [],
          basePrefix: '',
        },
        undefined,
      ),
    ).toThrow('test-gate: no norm site matches "norm.attention" in none (0 sites).');
  });
});
