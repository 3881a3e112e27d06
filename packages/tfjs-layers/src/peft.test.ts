import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { bitfit, lnTuning } from '@peft/bitfit';
import type { MethodSpec } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { seededTensor, toBeAllclose } from '@peft/testing';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { peft } from './peft.js';

beforeAll(async () => {
  expect.extend({ toBeAllclose });
  await tf.setBackend('cpu');
});
let tensors = 0;
beforeEach(() => {
  tensors = tf.memory().numTensors;
});
afterEach(() => expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors));

/** Words to a class: every kind of layer that can carry an adapter. */
function textModel(): tf.LayersModel {
  const model = tf.sequential({
    layers: [
      tf.layers.embedding({ inputDim: 11, outputDim: 6, inputLength: 5, name: 'words' }),
      tf.layers.conv1d({
        filters: 7,
        kernelSize: 3,
        padding: 'same',
        activation: 'tanh',
        name: 'window',
      }),
      tf.layers.layerNormalization({ name: 'norm' }),
      tf.layers.dense({ units: 8, activation: 'relu', name: 'hidden' }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 3, activation: 'softmax', name: 'classes' }),
    ],
  });
  fill(model);
  return model;
}

const image = (
  strides: number,
  padding: 'same' | 'valid',
  dilationRate: number,
): tf.LayersModel => {
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [6, 5, 2],
        filters: 4,
        kernelSize: [3, 2],
        strides,
        padding,
        dilationRate,
        name: 'conv',
      }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 3, activation: 'softmax', name: 'classes' }),
    ],
  });
  fill(model);
  return model;
};

/** Weights that are seeded, and none of them at a special value. */
function fill(model: tf.LayersModel): void {
  tf.tidy(() =>
    model.setWeights(
      model
        .getWeights()
        .map((weight, i) => tf.add(seededTensor(`weight ${i}`, weight.shape, 0.4), 0.1)),
    ),
  );
}

const WORDS = [
  [1, 4, 2, 0, 9],
  [3, 3, 10, 5, 6],
  [7, 1, 8, 2, 0],
  [5, 6, 4, 10, 3],
];
const LABELS = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
  [1, 0, 0],
];
const predict = (
  model: tf.LayersModel,
  input: tf.Tensor = tf.tensor2d(WORDS, undefined, 'int32'),
): number[] => {
  const output = model.predict(input) as tf.Tensor;
  const values = [...output.dataSync()];
  tf.dispose([output, input]);
  return values;
};
const base = (model: tf.LayersModel): number[][] =>
  model.getWeights().map((weight) => [...weight.dataSync()]);
async function fit(model: tf.LayersModel, epochs = 4): Promise<number[]> {
  const [x, y] = [tf.tensor2d(WORDS, undefined, 'int32'), tf.tensor2d(LABELS)];
  const { history } = await model.fit(x, y, { epochs, batchSize: 4, shuffle: false, verbose: 0 });
  tf.dispose([x, y]);
  return history['loss'] as number[];
}

const METHODS: readonly (readonly [title: string, make: () => MethodSpec])[] = [
  ['LoRA on every linear layer', () => lora({ rank: 2, targets: 'all-linear' })],
  [
    'LoRA on the embedding and one dense layer',
    () => lora({ rank: 2, targets: ['words', 'hidden'] }),
  ],
  ['DoRA', () => lora({ rank: 2, dora: true, targets: ['hidden', 'window'] })],
  ['IA3', () => ia3({ targets: ['hidden', 'window'], feedforwardModules: ['hidden'] })],
  ['BitFit', () => bitfit()],
  ['norm tuning', () => lnTuning()],
  [
    'LoRA with a whole layer',
    () => lora({ rank: 2, targets: ['window'], modulesToSave: ['classes'] }),
  ],
];

describe.for(METHODS)('%s', ([, make]) => {
  test('changes nothing at the start', () => {
    const model = textModel();
    const before = predict(model);
    const adapted = peft(model, make());
    expect(predict(model)).toBeAllclose(before, { atol: 1e-6, rtol: 1e-5 });
    adapted.dispose();
    expect(predict(model)).toEqual(before);
    model.dispose();
  });

  test('alone trains under model.fit, and merged computes the same', async () => {
    const model = textModel();
    const before = base(model);
    const adapted = peft(model, make());
    model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
    expect(
      model.trainableWeights.reduce(
        (sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]),
        0,
      ),
    ).toBe(adapted.parameterCounts().trainable);
    const losses = await fit(model);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(base(model)).toEqual(before);

    const active = predict(model);
    adapted.merge();
    expect(predict(model)).toBeAllclose(active, { atol: 1e-5, rtol: 1e-4 });
    adapted.unmerge();
    expect(predict(model)).toEqual(active);
    const plain = adapted.mergeAndUnload();
    expect(predict(plain)).toBeAllclose(active, { atol: 1e-5, rtol: 1e-4 });
    expect(plain.trainableWeights).toHaveLength(before.length);
    model.dispose();
  });
});

describe('an adapted model', () => {
  test('stays compiled, and trains as before once the adapter is off', async () => {
    const model = textModel();
    model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
    await fit(model, 2);
    const before = base(model);
    const adapted = peft(model, lora({ rank: 2, targets: ['hidden'] }));
    const losses = await fit(model);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(base(model)).toEqual(before);
    adapted.dispose();
    await fit(model, 1);
    expect(base(model)).not.toEqual(before);
    model.dispose();
  });

  test('is saved and had back on a model of the same layers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-layers-'));
    try {
      const model = textModel();
      const adapted = peft(
        model,
        lora({ rank: 2, targets: ['words', 'window', 'hidden'], modulesToSave: ['classes'] }),
      );
      model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
      await fit(model, 2);
      await adapted.save(join(folder, 'adapter'));
      const other = textModel();
      const again = peft(other, lora({ rank: 1, targets: ['hidden'] }));
      const { warnings } = await again.load(join(folder, 'adapter'), {
        name: 'loaded',
        methods: [lora],
      });
      expect(warnings).toEqual([]);
      expect(predict(other)).toEqual(predict(model));
      for (const part of [adapted, again, model, other]) part.dispose();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('is saved by tfjs without its adapter', async () => {
    const model = textModel();
    const plain = base(model);
    const adapted = peft(model, lora({ rank: 2, targets: 'all-linear' }));
    let names: string[] = [];
    await model.save(
      tf.io.withSaveHandler(({ weightSpecs }) => {
        names = weightSpecs!.map(({ name }) => name);
        return Promise.resolve({
          modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const },
        });
      }),
    );
    expect(names).toHaveLength(plain.length);
    expect(names.join()).not.toContain('lora');
    adapted.dispose();
    model.dispose();
  });

  test('keeps two adapters apart', async () => {
    const model = textModel();
    const bare = predict(model);
    const adapted = peft(model, lora({ rank: 2, init: 'random', targets: ['hidden'] }), {
      name: 'a',
    });
    const a = predict(model);
    adapted.addAdapter('b', ia3({ targets: ['hidden'], feedforwardModules: [] }));
    expect(predict(model)).toBeAllclose(bare, { atol: 1e-6 });
    adapted.setActiveAdapters('a');
    expect(predict(model)).toEqual(a);
    expect(adapted.core.withAdaptersDisabled(() => predict(model))).toEqual(bare);
    adapted.dispose();
    model.dispose();
  });

  test.for([
    [1, 'same', 1],
    [2, 'valid', 1],
    [1, 'valid', 2],
    [2, 'same', 1],
  ] as const)(
    'convolves with strides %i, padding %s, dilation %i',
    ([strides, padding, dilation]) => {
      const model = image(strides, padding, dilation);
      const input = () => seededTensor('image', [2, 6, 5, 2]);
      const before = predict(model, input());
      const adapted = peft(model, lora({ rank: 2, targets: ['conv'] }));
      expect(predict(model, input())).toBeAllclose(before, { atol: 1e-6, rtol: 1e-5 });
      adapted.dispose();
      model.dispose();
    },
  );

  test('leaves the averages of a batch normalisation as they are', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ units: 4, inputShape: [5], name: 'hidden' }),
        tf.layers.batchNormalization(),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    });
    const adapted = peft(model, lora({ rank: 2, targets: ['hidden'] }));
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const before = base(model);
    await fit(model, 2);
    expect(base(model)).toEqual(before);
    adapted.dispose();
    model.dispose();
  });
});

describe('peft refuses', () => {
  test('a name that no layer has, and leaves the model as it was', () => {
    const model = textModel();
    expect(() => peft(model, lora({ targets: ['hiden'] }))).toThrow(/Did you mean "hidden"/);
    expect(model.trainableWeights).toHaveLength(9);
    model.dispose();
  });

  test('a second time on one model', () => {
    const model = textModel();
    const adapted = peft(model, lora({ targets: ['hidden'] }));
    expect(() => peft(model, lora({ targets: ['hidden'] }))).toThrow(
      expect.objectContaining({ code: 'PEFT_LAYERS_TWICE' }),
    );
    adapted.dispose();
    model.dispose();
  });

  test('a method that asks for the gradients of each step', () => {
    const model = textModel();
    expect(() => peft(model, adalora({ targets: ['hidden'], totalSteps: 10 }))).toThrow(
      expect.objectContaining({ code: 'PEFT_METHOD_UNSUPPORTED' }),
    );
    model.dispose();
  });

  test('virtual tokens, which a layers model has no place for', async () => {
    const { promptTuning } = await import('@peft/prompt-tuning');
    const model = textModel();
    // @ts-expect-error it needs a sequence site
    expect(() => peft(model, promptTuning())).toThrow(/no .*sequence|no sequence site/);
    model.dispose();
  });
});
