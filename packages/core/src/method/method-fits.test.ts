/**
 * A method on a model without its kind of site does not compile where types know the model; run
 * anyway, it is a named error.
 */
import { lnTuning } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { linear, memorySource, type Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { prefixTuning, promptTuning } from '@peft/prompt-tuning';
import { reft } from '@peft/reft';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Architecture, defineArchitecture } from '../model/architecture.js';
import { loadModel } from '../model/load-model.js';
import type { ModelWith } from '../model/load-model.js';
import type { Model } from '../model/model.js';
import { combineMethods } from './define-peft-method.js';
import type { MethodSpec } from './peft-method.js';

/** One linear layer, and nothing else. */
const perceptron: Architecture<object, 'linear'> = defineArchitecture({
  family: 'perceptron',
  modelTypes: ['perceptron'],
  heads: [],
  siteKinds: ['linear'],
  parseConfig: () => ({}),
  describe: (_config, head) => ({
    modelType: 'perceptron',
    head,
    hiddenSize: 3,
    vocabularySize: 0,
    layers: { encoder: 0, decoder: 0 },
    headModules: [],
    basePrefix: '',
    parameters: [{ name: 'layer.weight', shape: [2, 3], use: 'matrix' }],
    sites: [
      {
        kind: 'linear',
        path: 'layer',
        role: 'layer',
        inFeatures: 3,
        outFeatures: 2,
        weight: 'layer.weight',
      },
    ],
  }),
  forward: (run, _config, { inputsEmbeds, offsets }) => ({
    hidden: linear(inputsEmbeds!, run.matrix('layer.weight')),
    offsets,
  }),
});

let engine: Engine;
let model: ModelWith<'linear'>;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
  model = loadModel(
    perceptron,
    {},
    {
      names: () => ['layer.weight'],
      get: (name) => memorySource(name, [2, 3], new Float32Array(6)),
    },
    engine,
  );
});
afterAll(() => {
  model.dispose();
  engine.dispose();
});

const unsupported = expect.objectContaining({ code: 'PEFT_METHOD_UNSUPPORTED' });

test('a method that has a kind of site there is taken, also one of a combination', () => {
  model.addAdapter('lora', lora({ rank: 1, targets: ['layer'] }));
  model.addAdapter(
    'both',
    combineMethods(
      'both',
      ia3({ targets: ['layer'], feedforwardModules: [] }),
      lora({ rank: 1, targets: ['layer'] }),
    ),
  );
  expect(model.adapterNames).toEqual(['lora', 'both']);
});

test('one that has none does not compile, and is a named error', () => {
  // @ts-expect-error it needs a sequence site
  expect(() => model.addAdapter('x', promptTuning())).toThrow(unsupported);
  // @ts-expect-error it needs an attention site
  expect(() => model.addAdapter('x', prefixTuning())).toThrow(unsupported);
  // @ts-expect-error it needs a sublayer site
  expect(() => model.addAdapter('x', reft())).toThrow(unsupported);
  // @ts-expect-error it needs a norm site
  expect(() => model.addAdapter('x', lnTuning())).toThrow(unsupported);
});

test('what types do not know is a named error alone', () => {
  const spec: MethodSpec = promptTuning();
  expect(() => model.addAdapter('x', spec)).toThrow(unsupported);
  const anyModel: Model = model;
  expect(() => anyModel.addAdapter('x', promptTuning())).toThrow(unsupported);
});
