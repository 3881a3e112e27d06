import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { loadAdapter, openModel, saveAdapter, trainStep, type Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import { lora } from '@peft/lora';
import { bert } from '@peft/models';
import { defineEngine } from '@peft/ops';
import { createPortableEngine, portableEngine } from '@peft/portable';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../testing/fixtures/models/bert', import.meta.url));
const head = { kind: 'sequence-classification', outputs: 3 } as const;
const none = () => Promise.resolve(undefined);
const codeAndHint = async (body: Promise<unknown>) => {
  const error: unknown = await body.catch((thrown: unknown) => thrown);
  if (!(error instanceof PeftError)) throw error;
  return { code: error.code, hint: error.hint };
};
/** Two texts, packed. */
const batch = {
  inputIds: Int32Array.of(2, 309, 152, 3, 2, 125, 3),
  offsets: Int32Array.of(0, 4, 7),
};
const lossOf = (model: Model) => (): tf.Scalar =>
  tf.losses
    .softmaxCrossEntropy(tf.tensor2d([1, 0, 0, 0, 1, 0], [2, 3]), model.forward(batch).logits!)
    .asScalar();

describe('what is not installed', () => {
  it('is named by the line that installs it', async () => {
    expect(await codeAndHint(openModel(folder, { importPackage: none }))).toEqual({
      code: 'PEFT_PACKAGE_MISSING',
      hint: 'npm i @peft/native @peft/models',
    });
    const engine = await createPortableEngine();
    expect(await codeAndHint(openModel(folder, { engine, importPackage: none }))).toEqual({
      code: 'PEFT_PACKAGE_MISSING',
      hint: 'npm i @peft/models',
    });
    const architectures = [bert] as never;
    expect(await codeAndHint(openModel(folder, { architectures, importPackage: none }))).toEqual({
      code: 'PEFT_PACKAGE_MISSING',
      hint: 'npm i @peft/native',
    });
    engine.dispose();
  });

  it('is an engine that nobody has, with the nearest name', async () => {
    const { code, hint } = await codeAndHint(openModel(folder, { engine: 'portabel' }));
    expect(code).toBe('PEFT_ENGINE_UNKNOWN');
    expect(hint).toMatch(/Did you mean "portable"\?/);
  });
});

describe('an engine that cannot run', () => {
  const broken = defineEngine({
    name: 'broken',
    create: () => Promise.reject(new Error('no such processor')),
  });
  const models = { bert };

  it('makes room for the next one, and says so', async () => {
    const packages: Record<string, Readonly<Record<string, unknown>>> = {
      '@peft/native': { broken },
      '@peft/portable': { portableEngine },
      '@peft/models': models,
    };
    const model = await openModel(folder, {
      head,
      warnings: ['the caller knows more'],
      importPackage: (name) => Promise.resolve(packages[name]),
    });
    expect(model.engine.name).toBe('portable');
    expect(model.warnings).toEqual([
      'the caller knows more',
      'the portable engine takes over: broken cannot run here: no such processor',
    ]);
    model.dispose();
    model.engine.dispose();
  });

  it('is an error where there is no other', async () => {
    const packages: Record<string, Readonly<Record<string, unknown>>> = {
      '@peft/native': { broken },
      '@peft/models': models,
    };
    const opened = openModel(folder, { importPackage: (name) => Promise.resolve(packages[name]) });
    expect(await codeAndHint(opened)).toEqual({
      code: 'PEFT_ENGINE_UNAVAILABLE',
      hint: 'npm i @peft/portable brings the engine that runs wherever TensorFlow.js does',
    });
  });
});

describe('a model that was opened', () => {
  it('trains step by step, is saved and read again, and leaves no tensor behind', async () => {
    const model = await openModel(folder, { head, engine: 'portable' });
    model.addAdapter('topics', lora({ rank: 2, targets: ['query', 'value'] }));
    const optimizer = tf.train.adam(0.02);
    const losses = [await trainStep(model, optimizer, lossOf(model))];
    const tensors = tf.memory().numTensors;
    while (losses.length < 12) losses.push(await trainStep(model, optimizer, lossOf(model)));
    expect(tf.memory().numTensors).toBe(tensors);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);

    const out = mkdtempSync(join(tmpdir(), 'peft-open-'));
    await saveAdapter(model, 'topics', out);
    expect(JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'))).toMatchObject({
      r: 2,
    });
    const expected = tf.tidy(() => model.forward(batch).logits!.arraySync());
    await loadAdapter(model, out, { name: 'again', methods: [lora] });
    expect(tf.tidy(() => model.forward(batch).logits!.arraySync())).toEqual(expected);
    rmSync(out, { recursive: true });
    optimizer.dispose();
    model.dispose();
    model.engine.dispose();
  });

  it("counts the methods' extra losses and tells their hooks the step and its gradients", async () => {
    const model = await openModel(folder, { head, engine: 'portable' });
    const adapter = model.addAdapter('ranks', adalora({ totalSteps: 10, targets: ['query'] }));
    expect(adapter.extraLosses).not.toEqual([]);
    const steps: number[] = [];
    let seen = 0;
    adapter.stepHooks.push(({ step, gradient }) => {
      steps.push(step);
      seen += model.trainables().filter((parameter) => gradient(parameter)).length;
    });
    const extra = tf.tidy(() =>
      adapter.extraLosses.reduce((sum, term) => sum + term().dataSync()[0]!, 0),
    );
    const plain = tf.tidy(() => lossOf(model)().dataSync()[0]!);
    const optimizer = tf.train.sgd(0.01);
    expect(await trainStep(model, optimizer, lossOf(model))).toBeCloseTo(plain + extra, 5);
    await trainStep(model, optimizer, lossOf(model));
    expect(steps).toEqual([1, 2]);
    expect(seen).toBeGreaterThan(0);
    model.dispose();
    model.engine.dispose();
  });

  it('is not changed by a loss that is no number', async () => {
    const model = await openModel(folder, { head, engine: 'portable' });
    model.addAdapter('topics', lora({ rank: 2, targets: ['query'] }));
    const optimizer = tf.train.sgd(1);
    const step = () => trainStep(model, optimizer, () => lossOf(model)().mul(NaN).asScalar());
    await expect(step()).rejects.toThrow(
      expect.objectContaining({ code: 'PEFT_LOSS_NOT_FINITE' }) as Error,
    );
    expect(model.trainables().some((parameter) => parameter.hasChanged())).toBe(false);
    model.dispose();
    model.engine.dispose();
  });
});
