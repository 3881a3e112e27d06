/**
 * Every method on an engine of which nothing can be read at once: attached, trained, saved, merged,
 * loaded.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  loadAdapter,
  saveAdapter,
  type AnyMethod,
  type MethodSpec,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { crossEntropy, variableGradients, type Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { actAsDevice, tinyModels, useTemporaryFolder, type ActedDevice } from '@peft/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allMethods } from './all-methods.js';

let engine: Engine;
let device: ActedDevice;
let folder: string;
useTemporaryFolder((made) => (folder = made));
beforeAll(async () => {
  engine = await createPortableEngine({ backend: 'wasm' });
  await engine.activate();
  device = actAsDevice(engine);
});
afterAll(() => {
  device.restore();
  engine.dispose();
});

/** One step of gradient descent with the method's hooks. */
async function step(model: Model, { batch, labels }: (typeof tiny)[number]): Promise<void> {
  const adapter = model.adapter('a');
  const { value, gradients } = tf.tidy(() =>
    variableGradients(
      () => {
        const { logits } = model.forward(batch, { training: true, randomParts: [1] });
        // prompts make further rows
        const classes = Int32Array.from(
          { length: logits!.shape[0] },
          (_, n) => labels[n % labels.length]!,
        );
        const loss = tf.sum(crossEntropy(logits!, classes));
        return adapter.extraLosses.reduce(
          (sum, term) => tf.add(sum, tf.reshape(term(), [])),
          loss as tf.Tensor,
        ) as tf.Scalar;
      },
      model.trainables().map((parameter) => parameter.value),
    ),
  );
  tf.tidy(() => {
    for (const parameter of model.trainables()) {
      const gradient = gradients[parameter.value.name];
      if (gradient) parameter.value.assign(tf.sub(parameter.value, tf.mul(gradient, 0.01)));
    }
  });
  for (const hook of adapter.stepHooks)
    await hook({ step: 1, gradient: (parameter) => gradients[parameter.value.name] });
  tf.dispose([value, gradients]);
}

const tiny = tinyModels();

/** Where the defaults are for larger models. */
const OPTIONS: Readonly<Record<string, readonly object[]>> = {
  adalora: [{ initialRank: 3, targetRank: 2, totalSteps: 10 }],
  'prefix-tuning': [{ virtualTokens: 2 }],
  'prompt-tuning': [{ virtualTokens: 2 }],
  'multitask-prompt-tuning': [{ virtualTokens: 2, tasks: 2 }],
  poly: [{ rank: 2, tasks: 2 }],
  adamss: [{ rank: 4, subspaces: 2 }],
  'p-tuning': [{ virtualTokens: 2 }],
  cartridge: [{ virtualTokens: 3 }],
  cpt: [{ tokenIds: [3, 4] }],
  vblora: [{ rank: 2, vectors: 5, vectorLength: 3 }],
  oft: [
    { blockSize: 4 },
    { blockSize: 4, cayleyNeumann: false },
    { blockSize: 4, constrained: true, epsilon: 0.6 },
  ],
  psoft: [{ rank: 2 }],
  miss: [{ rank: 3 }],
  fourierft: [{ frequencies: 12 }],
  waveft: [{ frequencies: 12 }],
  c3a: [{ blockSize: 6 }],
  road: [{ groupSize: 6 }],
  shira: [{ rank: 2 }],
  supertuning: [{ sparsity: 0.8 }],
};
/** It needs two other adapters; those are here by themselves. */
const WITHOUT = ['adapter-fusion'];

const cases = allMethods
  .filter(({ name }) => !WITHOUT.includes(name))
  .flatMap((method) =>
    (OPTIONS[method.name] ?? [{ ...method.exampleOptions }]).map(
      (options) => [method.name as string, options, method as AnyMethod] as const,
    ),
  );

const attach = (model: Model, method: AnyMethod, options: object): void =>
  void model.addAdapter('a', (method as unknown as (given: object) => MethodSpec)(options));

/** Results as the device has them; tests may look. */
function valuesOf(model: Model, batch: ModelBatch): Float32Array {
  const output = tf.tidy(() => model.forward(batch).logits!);
  const values = tf.backend().readSync(output.dataId).slice() as Float32Array;
  output.dispose();
  return values;
}

/** As an export reads them. */
const readAll = (tensors: Iterable<tf.Tensor>): number[] =>
  [...tensors].flatMap((tensor) => {
    const values = [...tensor.dataSync()];
    tensor.dispose();
    return values;
  });

describe('on an engine that cannot be read at once', () => {
  test.each(cases)(
    '%s %j is attached, trained, saved, loaded and merged',
    async (name, options, method) => {
      let fitting = 0;
      for (const each of tiny) {
        const model = each.open(engine);
        try {
          attach(model, method, options);
        } catch (error) {
          model.dispose();
          if (error instanceof PeftError && error.code === 'PEFT_METHOD_UNSUPPORTED') continue;
          throw error;
        }
        fitting += 1;
        await step(model, each);
        const trained = valuesOf(model, each.batch);
        const path = join(folder, each.name);
        await saveAdapter(model, 'a', path, { allowUntrained: true });
        expect(valuesOf(model, each.batch)).toEqual(trained); // what came to the host goes back
        const again = each.open(engine);
        await loadAdapter(again, path, { name: 'b', methods: allMethods });
        valuesOf(again, each.batch);
        again.dispose();
        await model.toHost();
        try {
          model.checkMergeable();
          for (const { name: parameter } of model.description.parameters)
            expect(readAll(model.readFoldedRows(parameter, 40))).toEqual(
              readAll([model.readFoldedParameter(parameter)]),
            );
          expect(model.mergeAdapters().warnings.at(-1)).toContain('was not measured');
          valuesOf(model, each.batch);
        } catch (error) {
          if (!(error instanceof PeftError && error.code === 'PEFT_MERGE_INEXACT')) throw error;
        }
        model.dispose();
      }
      expect(fitting, `models that ${name} fits`).toBeGreaterThan(0);
    },
    120_000,
  );
});
